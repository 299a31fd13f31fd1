/** Transfers of a dataset: how far they are, how to end them, what went wrong and how to go on. */
import * as React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDataStory, IProblem, ITransfer } from '../tokens';
import { transferName, transferWords } from './dataWords';
import { Action, Actions, Facts, Line, Problem, Progress } from './parts';

/** How long one that is done is still told. */
const DONE_MILLISECONDS = 60_000;
/** How many failed files are told one by one. */
const TOLD = 3;

const GOING: readonly ITransfer['state'][] = ['listing', 'moving', 'waiting'];

/** Those to tell: all under way, and the last that ended, if it is not long done or another brings the same since. */
export function transfersOf(
  dataset: string,
  story: IDataStory | null,
  now: number
): ITransfer[] {
  const mine = (story?.transfers ?? []).filter(one =>
    one.paths.some(path => path.split('/', 1)[0] === dataset)
  );
  const last = mine[0];
  return mine.filter(
    one => GOING.includes(one.state) || (one === last && _fresh(one, now))
  );
}

function _fresh(ended: ITransfer, now: number): boolean {
  return (
    ended.state !== 'done' ||
    now - 1000 * (ended.ended ?? 0) < DONE_MILLISECONDS
  );
}

export function Transfers(props: {
  transfers: readonly ITransfer[];
  /** What is told of the dataset already, and not again of its transfers. */
  known: IProblem | null;
  busy: readonly string[];
  trans: TranslationBundle;
  onCancel: (id: string) => void;
  onResume: (id: string) => void;
}): JSX.Element {
  return (
    <>
      {props.transfers.map(one => (
        <TransferItem {...props} key={one.id} transfer={one} />
      ))}
    </>
  );
}

function TransferItem(props: {
  transfer: ITransfer;
  known: IProblem | null;
  busy: readonly string[];
  trans: TranslationBundle;
  onCancel: (id: string) => void;
  onResume: (id: string) => void;
}): JSX.Element {
  const { busy, trans, transfer } = props;
  const name = transferName(transfer.paths, trans);
  const words = transferWords(transfer, trans);
  const going = GOING.includes(transfer.state);
  const title = going
    ? trans.__('Fetching %1', name)
    : trans.__('Fetch of %1', name);
  return (
    <div className="jp-AlcPanel-transfer">
      <div>{title}</div>
      <Progress
        share={_share(transfer)}
        label={title}
        words={words.join(', ')}
      />
      <Facts told={words} />
      {transfer.problem &&
        transfer.problem.message !== props.known?.message && (
          <Problem problem={transfer.problem} />
        )}
      <Failed transfer={transfer} trans={trans} />
      <Actions>
        {going && (
          <Action
            label={trans.__('Cancel')}
            about={name}
            hint={trans.__('End it; what has come stays')}
            disabled={busy.includes(`cancel:${transfer.id}`)}
            onClick={() => props.onCancel(transfer.id)}
          />
        )}
        {(transfer.state === 'failed' || transfer.state === 'cancelled') && (
          <Action
            label={trans.__('Resume')}
            about={name}
            hint={trans.__('Go on with what is missing; what has come stays')}
            disabled={busy.includes(`resume:${transfer.id}`)}
            onClick={() => props.onResume(transfer.id)}
          />
        )}
        {transfer.state === 'waiting' && (
          <Action
            label={trans.__('Try now')}
            about={name}
            disabled={busy.includes(`resume:${transfer.id}`)}
            onClick={() => props.onResume(transfer.id)}
          />
        )}
      </Actions>
    </div>
  );
}

function _share(transfer: ITransfer): number {
  if (transfer.size_bytes > 0) {
    return transfer.done_bytes / transfer.size_bytes;
  }
  return transfer.state === 'done' ? 1 : 0;
}

/** The first files that could not be brought, unless the transfer's own problem says it all. */
function Failed(props: {
  transfer: ITransfer;
  trans: TranslationBundle;
}): JSX.Element {
  const { failed, failed_files: all, problem } = props.transfer;
  const told = failed
    .filter(file => file.problem.message !== problem?.message)
    .slice(0, TOLD);
  const more = all - told.length;
  return (
    <>
      {told.map(file => (
        <Problem key={file.path} about={file.path} problem={file.problem} />
      ))}
      {told.length > 0 && more > 0 && (
        <Line>
          {props.trans._n('and %1 more file', 'and %1 more files', more)}
        </Line>
      )}
    </>
  );
}
