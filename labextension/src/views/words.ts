/** Numbers and states in words. Pure; imports nothing at run time. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IView } from '../tokens';

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Bytes in powers of 1000, as the spawn form tells them: `999 B`, `1.5 kB`, `37 MB`. */
export function size(bytes: number): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits).replace(/\.0$/, '')} ${UNITS[unit]}`;
}

/** `done` of `whole` with one unit: "1.2 of 1.9 MB" where both share it. */
export function partOf(
  done: number,
  whole: number,
  trans: TranslationBundle
): string {
  const [doneNumber, doneUnit] = size(done).split(' ');
  const [, wholeUnit] = size(whole).split(' ');
  const short = doneUnit === wholeUnit || done === 0 ? doneNumber : size(done);
  return trans.__('%1 of %2', short, size(whole));
}

/** A time that is still to go: `42 s`, `30 min`, `4 h 12 min`. */
export function duration(seconds: number, trans: TranslationBundle): string {
  if (seconds < 90) {
    return trans.__('%1 s', Math.max(0, Math.round(seconds)));
  }
  const minutes = Math.round(seconds / 60);
  return minutes < 90
    ? trans.__('%1 min', minutes)
    : trans.__('%1 h %2 min', Math.floor(minutes / 60), minutes % 60);
}

/** How long until `then` (ISO text, or seconds since 1970), in words; empty where it is not known. */
export function timeLeft(
  then: string | number | null | undefined,
  now: number,
  trans: TranslationBundle
): string {
  const seconds = (_milliseconds(then) - now) / 1000;
  return Number.isFinite(seconds) ? duration(seconds, trans) : '';
}

/** Cores with at most one decimal. */
export function cores(count: number): string {
  return Number.isInteger(count) ? `${count}` : count.toFixed(1);
}

function _milliseconds(then: string | number | null | undefined): number {
  return typeof then === 'number' ? then * 1000 : Date.parse(then ?? '');
}

/** What happens when the server is stopped. Nothing is said to be in the archive that we could not ask about just now. */
export function whatStoppingDoes(
  data: IView<'data'>,
  trans: TranslationBundle
): string {
  if (data.told === null || data.problem) {
    return trans.__(
      'Kernels and clusters end. Whatever is unsent goes to the archive first; then the machine is given back. Your home is kept.'
    );
  }
  const unsent = data.told.datasets.reduce(
    (sum, one) => sum + one.unsent_files,
    0
  );
  return unsent > 0
    ? trans._n(
        'Kernels and clusters end. %1 unsent file goes to the archive first; then the machine is given back. Your home is kept.',
        'Kernels and clusters end. %1 unsent files go to the archive first; then the machine is given back. Your home is kept.',
        unsent
      )
    : trans.__(
        'Kernels and clusters end, and the machine is given back. All results are in the archive; your home is kept.'
      );
}
