/** The small pieces the three sections are made of. */
import * as React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IProblem } from '../tokens';

/** How a thing is; shown as shape, colour and always also in words beside it. */
export type Tone = 'good' | 'moving' | 'warn' | 'bad';

/** A section with its heading and at most one action beside it. */
export function Section(props: {
  id: string;
  title: string;
  action?: React.ReactNode;
  children?: React.ReactNode;
}): JSX.Element {
  const heading = `jp-AlcPanel-${props.id}`;
  return (
    <section className="jp-AlcPanel-section" aria-labelledby={heading}>
      <div className="jp-AlcPanel-header">
        <h2 id={heading}>{props.title}</h2>
        {props.action}
      </div>
      {props.children}
    </section>
  );
}

/** One machine, dataset or cluster. */
export function Item(props: {
  tone: Tone;
  name: string;
  hint?: string;
  aside?: string;
  children?: React.ReactNode;
}): JSX.Element {
  return (
    <div className="jp-AlcPanel-item">
      <div className="jp-AlcPanel-row">
        <h3 title={props.hint}>
          <span
            className={`jp-AlcPanel-dot jp-mod-${props.tone}`}
            aria-hidden="true"
          />
          {props.name}
        </h3>
        {props.aside && (
          <span className="jp-AlcPanel-aside">{props.aside}</span>
        )}
      </div>
      {props.children}
    </div>
  );
}

/** A quiet line. */
export function Line(props: { children: React.ReactNode }): JSX.Element {
  return <div className="jp-AlcPanel-line">{props.children}</div>;
}

/** Short facts on a quiet line; it breaks between them, not within. */
export function Facts(props: { told: readonly string[] }): JSX.Element {
  return (
    <Line>
      {props.told.map((fact, place) => (
        <React.Fragment key={fact}>
          {place > 0 && ' · '}
          <span className="jp-AlcPanel-fact">{fact}</span>
        </React.Fragment>
      ))}
    </Line>
  );
}

/** Buttons in a row. */
export function Actions(props: { children: React.ReactNode }): JSX.Element {
  return <div className="jp-AlcPanel-actions">{props.children}</div>;
}

/** A button that looks like a word. */
export function Action(props: {
  label: string;
  hint?: string;
  disabled?: boolean;
  /** Whether what the button shows is open; for buttons that show something. */
  expanded?: boolean;
  /** What it is about, where the word alone does not say it to a screen reader. */
  about?: string;
  onClick: () => void;
}): JSX.Element {
  return (
    <button
      type="button"
      className="jp-AlcPanel-action"
      title={props.hint}
      disabled={props.disabled}
      aria-expanded={props.expanded}
      aria-label={props.about && `${props.label}: ${props.about}`}
      onClick={props.onClick}
    >
      {props.label}
    </button>
  );
}

/** What is wrong, and what to do about it. */
export function Problem(props: {
  problem: IProblem;
  about?: string;
}): JSX.Element {
  const { about, problem } = props;
  return (
    <div className="jp-AlcPanel-problem">
      <div>
        {about && <b className="jp-AlcPanel-about">{about}</b>}
        {problem.message}
      </div>
      {problem.next_step && (
        <div className="jp-AlcPanel-next">{problem.next_step}</div>
      )}
    </div>
  );
}

/** A bar of one or two lengths, in shares of the whole. Its words stand beside it, so it is hidden from readers. */
export function Meter(props: { share: number; more?: number }): JSX.Element {
  const share = _within(props.share, 1);
  const more = _within(props.more ?? 0, 1 - share);
  return (
    <div className="jp-AlcPanel-meter" aria-hidden="true">
      <i style={{ width: `${100 * share}%` }} />
      {more > 0 && <i style={{ width: `${100 * more}%` }} />}
    </div>
  );
}

/** How far something is, also for readers; `words` say it. */
export function Progress(props: {
  share: number;
  label: string;
  words: string;
}): JSX.Element {
  const share = _within(props.share, 1);
  return (
    <div
      className="jp-AlcPanel-meter jp-mod-progress"
      role="progressbar"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.floor(100 * share)}
      aria-valuetext={props.words}
    >
      <i style={{ width: `${100 * share}%` }} />
    </div>
  );
}

/** The line of the last values, against `top`. */
export function Sparkline(props: {
  values: readonly number[];
  top: number;
}): JSX.Element | null {
  const { values, top } = props;
  if (values.length < 2) {
    return null;
  }
  const step = 300 / (values.length - 1);
  const points = values.map(
    (value, place) =>
      `${(place * step).toFixed(1)},${(30 - 28 * _within(value / top, 1)).toFixed(1)}`
  );
  return (
    <svg
      className="jp-AlcPanel-sparkline"
      viewBox="0 0 300 32"
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <polyline points={points.join(' ')} />
    </svg>
  );
}

/** The words of a section before its first answer. */
export function Asking(props: { trans: TranslationBundle }): JSX.Element {
  return (
    <div className="jp-AlcPanel-item">
      <Line>{props.trans.__('Asking…')}</Line>
    </div>
  );
}

function _within(value: number, top: number): number {
  return Number.isFinite(value) ? Math.min(Math.max(value, 0), top) : 0;
}
