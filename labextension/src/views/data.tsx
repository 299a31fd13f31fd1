/** The datasets: what of them was needed and moved, and what is still unsent. */
import * as React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDataset, IDataStory, IUnsent, IView } from '../tokens';
import {
  Action,
  Actions,
  Asking,
  Facts,
  Item,
  Line,
  Meter,
  Problem,
  Section,
  type Tone
} from './parts';
import { partOf, size } from './words';

/** How many unsent files with a problem are told one by one. */
const TOLD = 3;

export interface IDataProps {
  view: IView<'data'>;
  trans: TranslationBundle;
  onSend: () => void;
  onOpen: (dataset: string) => void;
}

export function DataSection(props: IDataProps): JSX.Element {
  const { view, trans } = props;
  return (
    <Section id="data" title={trans.__('Data')}>
      {view.problem && <Problem problem={view.problem} />}
      {!view.told && !view.problem && <Asking trans={trans} />}
      {view.told && <Datasets {...props} story={view.told} />}
    </Section>
  );
}

function Datasets(props: IDataProps & { story: IDataStory }): JSX.Element {
  const { story, trans } = props;
  if (story.datasets.length === 0) {
    const words =
      story.words ||
      trans.__(
        'No dataset is mounted. Choose some when you start your server from the Hub.'
      );
    return (
      <div className="jp-AlcPanel-item">
        <Line>{words}</Line>
      </div>
    );
  }
  return (
    <>
      {story.daemon?.problem && (
        <div className="jp-AlcPanel-item">
          <Problem problem={story.daemon.problem} />
        </div>
      )}
      {story.datasets.map(dataset => (
        <DatasetItem
          {...props}
          key={dataset.id}
          dataset={dataset}
          folder={!story.daemon?.problem}
          unsent={story.unsent.filter(file =>
            file.path.startsWith(`${dataset.id}/`)
          )}
        />
      ))}
    </>
  );
}

function DatasetItem(
  props: IDataProps & {
    dataset: IDataset;
    folder: boolean;
    unsent: readonly IUnsent[];
  }
): JSX.Element {
  const { dataset, trans, view } = props;
  const sending = view.busy.includes('flush');
  return (
    <Item
      tone={datasetTone(dataset)}
      name={dataset.id}
      hint={[dataset.title, dataset.where].filter(Boolean).join(', ')}
      aside={datasetState(dataset, trans)}
    >
      <Moved dataset={dataset} trans={trans} />
      <Sending dataset={dataset} trans={trans} />
      {dataset.problem && <Problem problem={dataset.problem} />}
      <Stuck files={props.unsent} trans={trans} />
      <Actions>
        {dataset.unsent_files > 0 && (
          <Action
            label={sending ? trans.__('Sending…') : trans.__('Send now')}
            hint={trans.__('Send the unsent files to the archive now')}
            disabled={sending}
            onClick={props.onSend}
          />
        )}
        {props.folder && (
          <Action
            label={trans.__('Open')}
            hint={trans.__('Show %1 in the file browser', dataset.id)}
            onClick={() => props.onOpen(dataset.id)}
          />
        )}
      </Actions>
    </Item>
  );
}

/** Bytes needed, moved and in all. Shown once something moved, or where the whole is known. */
function Moved(props: {
  dataset: IDataset;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { dataset, trans } = props;
  const { moved_bytes: moved, needed_bytes: needed } = dataset;
  const whole = dataset.size_bytes;
  if (!whole && !moved) {
    return null;
  }
  const told =
    moved > 0
      ? [trans.__('%1 needed', size(needed)), trans.__('%1 moved', size(moved))]
      : [trans.__('nothing moved yet')];
  if (whole) {
    told.push(trans.__('%1 in all', size(whole)));
  }
  const part = Math.min(needed, moved);
  return (
    <>
      {whole ? (
        <Meter share={part / whole} more={(moved - part) / whole} />
      ) : null}
      <Facts told={told} />
    </>
  );
}

function Sending(props: {
  dataset: IDataset;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { dataset, trans } = props;
  const now = dataset.sending;
  if (now) {
    return (
      <>
        <Meter share={now.sent_bytes / now.size_bytes} />
        <Line>
          {trans.__(
            'sending %1, %2',
            now.path.split('/').pop() ?? now.path,
            partOf(now.sent_bytes, now.size_bytes, trans)
          )}
        </Line>
      </>
    );
  }
  return dataset.unsent_files > 0 ? (
    <Line>
      {trans.__('%1 not in the archive yet', size(dataset.unsent_bytes))}
    </Line>
  ) : null;
}

/** The unsent files that need attention. */
function Stuck(props: {
  files: readonly IUnsent[];
  trans: TranslationBundle;
}): JSX.Element | null {
  const stuck = props.files.filter(file => file.problem);
  const more = stuck.length - TOLD;
  return (
    <>
      {stuck
        .slice(0, TOLD)
        .map(
          file =>
            file.problem && (
              <Problem
                key={file.path}
                about={file.path.split('/').slice(1).join('/')}
                problem={file.problem}
              />
            )
        )}
      {more > 0 && (
        <Line>
          {props.trans._n(
            'and %1 more file that could not be sent',
            'and %1 more files that could not be sent',
            more
          )}
        </Line>
      )}
    </>
  );
}

/** A dataset's state in words. */
export function datasetState(
  dataset: IDataset,
  trans: TranslationBundle
): string {
  if (dataset.state === 'unreachable') {
    return trans.__('out of reach');
  }
  if (dataset.unsent_files > 0) {
    return trans._n('%1 file unsent', '%1 files unsent', dataset.unsent_files);
  }
  return dataset.access === 'read'
    ? trans.__('read only')
    : trans.__('all sent');
}

function datasetTone(dataset: IDataset): Tone {
  if (dataset.state === 'unreachable' || dataset.problem) {
    return 'bad';
  }
  if (dataset.state === 'sending') {
    return 'moving';
  }
  return dataset.unsent_files > 0 ? 'warn' : 'good';
}
