import type { TranslationBundle } from '@jupyterlab/translation';

const fill = (text: string, args: unknown[]): string =>
  text.replace(/%(\d)/g, (_, place: string) => String(args[Number(place) - 1]));

/** English, with the placeholders filled in as gettext does: the number comes first. */
export const english = {
  __: (text: string, ...args: unknown[]) => fill(text, args),
  _n: (one: string, many: string, n: number, ...args: unknown[]) =>
    fill(n === 1 ? one : many, [n, ...args])
} as unknown as TranslationBundle;
