/** How datasets, files, plans and transfers are told: the words of `jupyter_alc/magics/data_words.py`, held equal by a test. Pure. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDataset, IFile, IPlan, ITransfer } from '../tokens';
import { duration, partOf, size } from './words';

/** A dataset's state. */
export function datasetState(
  dataset: IDataset,
  trans: TranslationBundle
): string {
  if (dataset.mounted === false) {
    return trans.__('not in the folder');
  }
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

/** Bytes needed, moved and from cache; what never was is left out. */
export function figures(
  needed: number,
  moved: number,
  fromCache: number,
  trans: TranslationBundle
): string[] {
  if (!needed && !moved) {
    return [trans.__('nothing moved yet')];
  }
  const told = [
    trans.__('%1 needed', size(needed)),
    trans.__('%1 moved', size(moved))
  ];
  return fromCache
    ? [...told, trans.__('%1 from cache', size(fromCache))]
    : told;
}

/** Where a file's bytes are; nothing for a folder. */
export function fileState(file: IFile, trans: TranslationBundle): string {
  switch (file.state) {
    case 'folder':
      return '';
    case 'cached':
      return trans.__('cached');
    case 'archive':
      return trans.__('archive');
    case 'partly':
      return trans.__(
        'partly, %1',
        partOf(file.cached_bytes, file.size ?? 0, trans)
      );
    case 'waiting':
      return trans.__('waiting');
    default:
      return file.state;
  }
}

/** What fetching would mean: files, size, what is here already, requests, time. */
export function planWords(plan: IPlan, trans: TranslationBundle): string[] {
  const { cached_bytes: here, size_bytes: whole } = plan;
  const told = [trans._n('%1 file', '%1 files', plan.files), size(whole)];
  if (here >= whole) {
    return [...told, trans.__('all here already')];
  }
  if (here > 0) {
    told.push(trans.__('%1 here already', size(here)));
  }
  told.push(trans._n('%1 request', '%1 requests', plan.requests));
  told.push(
    plan.seconds === null
      ? trans.__('time not known yet')
      : trans.__('about %1', duration(Math.max(1, plan.seconds), trans))
  );
  return told;
}

/** What a transfer brings. */
export function transferName(
  paths: readonly string[],
  trans: TranslationBundle
): string {
  const more = paths.length - 1;
  return more > 0
    ? trans.__('%1 and %2 more', paths[0], more)
    : (paths[0] ?? '');
}

/** The state of a transfer alone. */
export function transferState(
  state: ITransfer['state'],
  trans: TranslationBundle
): string {
  switch (state) {
    case 'listing':
      return trans.__('listing');
    case 'moving':
      return trans.__('moving');
    case 'waiting':
      return trans.__('waiting');
    case 'done':
      return trans.__('done');
    case 'failed':
      return trans.__('failed');
    case 'cancelled':
      return trans.__('cancelled');
    default:
      return state;
  }
}

/** How far a transfer is: state, bytes, speed, time left; what could not be brought. */
export function transferWords(
  transfer: ITransfer,
  trans: TranslationBundle
): string[] {
  const told = _progress(transfer, trans);
  if (transfer.failed_files > 0) {
    told.push(
      trans._n('%1 file failed', '%1 files failed', transfer.failed_files)
    );
  }
  return told;
}

function _progress(transfer: ITransfer, trans: TranslationBundle): string[] {
  const { done_bytes: done, size_bytes: whole, state } = transfer;
  const word = transferState(state, trans);
  if (state === 'done') {
    return [
      trans.__('%1, %2', word, size(whole)),
      trans.__('%1 moved', size(transfer.moved_bytes))
    ];
  }
  const told = [
    whole ? trans.__('%1, %2', word, partOf(done, whole, trans)) : word
  ];
  if (state === 'waiting') {
    told.push(trans.__('goes on by itself'));
  }
  if (state === 'moving' && transfer.bytes_per_second) {
    told.push(trans.__('%1/s', size(transfer.bytes_per_second)));
  }
  if (state === 'moving' && typeof transfer.seconds_left === 'number') {
    told.push(trans.__('%1 left', duration(transfer.seconds_left, trans)));
  }
  return told;
}
