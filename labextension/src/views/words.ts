/** Numbers and states in words. Pure; imports nothing at run time. */
import type { TranslationBundle } from '@jupyterlab/translation';

const DECIMAL = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Bytes of files and transfers, in powers of 1000, with two or three figures. */
export function size(bytes: number): string {
  return _scaled(bytes, 1000, DECIMAL);
}

/** Bytes of memory, in powers of 1024. */
export function memory(bytes: number): string {
  return _scaled(bytes, 1024, BINARY);
}

/** `done` of `whole` with one unit: "1.2 of 1.9 MB" where both share it. */
export function partOf(
  done: number,
  whole: number,
  trans: TranslationBundle,
  words: (bytes: number) => string = size
): string {
  const [doneNumber, doneUnit] = words(done).split(' ');
  const [, wholeUnit] = words(whole).split(' ');
  const short = doneUnit === wholeUnit || done === 0 ? doneNumber : words(done);
  return trans.__('%1 of %2', short, words(whole));
}

/** How long until `then` (ISO text, or seconds since 1970), in words; empty where it is not known. */
export function timeLeft(
  then: string | number | null | undefined,
  now: number,
  trans: TranslationBundle
): string {
  const seconds = (_milliseconds(then) - now) / 1000;
  if (!Number.isFinite(seconds)) {
    return '';
  }
  if (seconds < 90) {
    return trans.__('%1 s', Math.max(0, Math.round(seconds)));
  }
  const minutes = Math.round(seconds / 60);
  return minutes < 90
    ? trans.__('%1 min', minutes)
    : trans.__('%1 h %2 min', Math.floor(minutes / 60), minutes % 60);
}

/** Cores with at most one decimal. */
export function cores(count: number): string {
  return Number.isInteger(count) ? `${count}` : count.toFixed(1);
}

function _milliseconds(then: string | number | null | undefined): number {
  return typeof then === 'number' ? then * 1000 : Date.parse(then ?? '');
}

function _scaled(bytes: number, step: number, units: string[]): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= step * 0.9995 && unit < units.length - 1) {
    value /= step;
    unit += 1;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits).replace(/\.0$/, '')} ${units[unit]}`;
}
