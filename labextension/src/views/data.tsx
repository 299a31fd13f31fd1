/** The datasets: what of them was needed and moved, and what is still unsent. */
import * as React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type {
  IDataDetails,
  IDataset,
  IDataStory,
  IUnsent,
  IView
} from '../tokens';
import { datasetState, figures } from './dataWords';
import { Files } from './files';
import { Notebooks } from './notebooks';
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
import { Plan } from './plan';
import { Transfers, transfersOf } from './transfers';
import { partOf, size } from './words';

/** How many unsent files with a problem are told one by one. */
const TOLD = 3;

export interface IDataProps {
  view: IView<'data'>;
  details: IDataDetails;
  trans: TranslationBundle;
  /** Now, in milliseconds since 1970. */
  now: number;
  onSend: () => void;
  onOpen: (dataset: string) => void;
  onFetch: (path: string) => void;
  onCancel: (transfer: string) => void;
  onResume: (transfer: string) => void;
  onMount: (dataset: string) => void;
  onUnmount: (dataset: string) => void;
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
          folder={!story.daemon?.problem && dataset.mounted !== false}
          unsent={story.unsent.filter(file =>
            file.path.startsWith(`${dataset.id}/`)
          )}
        />
      ))}
      <Notebooks details={props.details} trans={trans} />
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
  const { dataset, details, trans, view } = props;
  const plan = details.plan(dataset.id);
  const folder = details.folder(dataset.id);
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
      <Transfers
        transfers={transfersOf(dataset.id, view.told, props.now)}
        known={dataset.problem}
        busy={view.busy}
        trans={trans}
        onCancel={props.onCancel}
        onResume={props.onResume}
      />
      {plan && (
        <Plan
          plan={plan}
          busy={view.busy.includes(`fetch:${dataset.id}`)}
          trans={trans}
          onFetch={() => props.onFetch(dataset.id)}
          onDrop={() => details.dropPlan(dataset.id)}
        />
      )}
      <DatasetActions {...props} />
      {folder && (
        <Files
          folder={folder}
          trans={trans}
          onShow={path => void details.showFolder(path)}
          onRefresh={() => void details.refreshFolder(dataset.id)}
        />
      )}
    </Item>
  );
}

function DatasetActions(
  props: IDataProps & { dataset: IDataset; folder: boolean }
): JSX.Element {
  const { dataset, details, trans, view } = props;
  const { id } = dataset;
  const changing = view.busy.includes(`mount:${id}`);
  if (dataset.mounted === false) {
    return (
      <Actions>
        <Action
          label={trans.__('Mount')}
          about={id}
          hint={trans.__('Let %1 come back into the folder', id)}
          disabled={changing}
          onClick={() => props.onMount(id)}
        />
      </Actions>
    );
  }
  const sending = view.busy.includes('flush');
  const shown = details.folder(id) !== undefined;
  return (
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
          about={id}
          hint={trans.__('Show %1 in the file browser', id)}
          onClick={() => props.onOpen(id)}
        />
      )}
      <Action
        label={trans.__('Fetch all…')}
        about={id}
        hint={trans.__('See what bringing all of it onto this machine takes')}
        expanded={details.plan(id) !== undefined}
        onClick={() =>
          details.plan(id) ? details.dropPlan(id) : void details.askPlan(id)
        }
      />
      <Action
        label={shown ? trans.__('Hide files') : trans.__('Show files')}
        about={id}
        hint={trans.__('See where the bytes of each file are')}
        expanded={shown}
        onClick={() =>
          shown ? details.hideFolder(id) : void details.showFolder(id)
        }
      />
      <Action
        label={trans.__('Unmount')}
        about={id}
        hint={trans.__(
          'Let %1 leave the folder; unsent files go on being sent',
          id
        )}
        disabled={changing}
        onClick={() => props.onUnmount(id)}
      />
    </Actions>
  );
}

/** Bytes needed, moved, from cache and in all. Shown once something was read, or where the whole is known. */
function Moved(props: {
  dataset: IDataset;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { dataset, trans } = props;
  const { moved_bytes: moved, needed_bytes: needed } = dataset;
  const whole = dataset.size_bytes;
  if (!whole && !moved && !needed) {
    return null;
  }
  const told = figures(needed, moved, dataset.from_cache_bytes ?? 0, trans);
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

function datasetTone(dataset: IDataset): Tone {
  if (dataset.state === 'unreachable' || dataset.problem) {
    return 'bad';
  }
  if (dataset.state === 'sending') {
    return 'moving';
  }
  return dataset.unsent_files > 0 ? 'warn' : 'good';
}
