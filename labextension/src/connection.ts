/** The client on JupyterLab's own connection: base address, token and XSRF are its business. */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Client } from './client';

export function connect(
  settings: ServerConnection.ISettings,
  trans: TranslationBundle
): Client {
  const base = URLExt.join(settings.baseUrl, '/');
  return new Client(
    (path, init) => ServerConnection.makeRequest(base + path, init, settings),
    base,
    trans
  );
}
