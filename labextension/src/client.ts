/**
 * The server's addresses: the only file that knows one.
 *
 * It sends through a function that is handed in, so it runs without a browser and without JupyterLab.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { problems, type Problems } from './problems';
import type {
  ICluster,
  IFolder,
  INotebooks,
  IPlan,
  IProblem,
  IStories,
  Part
} from './tokens';

/** Send a request to an address below the Jupyter server; rejects when nobody answers. */
export type Send = (path: string, init: RequestInit) => Promise<Response>;

/** A refusal, with what to do next. `status` is 0 where nobody answered. */
export class RestError extends Error {
  constructor(
    readonly problem: IProblem,
    readonly status: number
  ) {
    super(problem.message);
    this.name = 'RestError';
  }
}

const ROOT = 'jupyter-alc/v1';

/** How many names of a folder are told; it may have a million. */
const MOST_NAMES = '200';

const PATHS: { readonly [P in Part]: string } = {
  machine: 'machine',
  data: 'data',
  clusters: 'piezo/clusters'
};

export class Client {
  constructor(
    private readonly _send: Send,
    private readonly _base: string,
    trans: TranslationBundle
  ) {
    this._problems = problems(trans);
  }

  /** What to tell of something that was thrown here. */
  problemOf(error: unknown): IProblem {
    return error instanceof RestError ? error.problem : this._problems.internal;
  }

  /** Ask a part. It is a background question: it does not count as the user's activity. */
  async ask<P extends Part>(part: P): Promise<IStories[P]> {
    return this._request(`${PATHS[part]}?no_track_activity=1`, 'GET');
  }

  async flush(): Promise<void> {
    await this._request('data/flush', 'POST', {});
  }

  /** What fetching would mean. */
  async plan(path: string): Promise<IPlan> {
    return this._request(_of('data/plan', { path }), 'GET');
  }

  async fetch(path: string): Promise<void> {
    await this._request('data/transfers', 'POST', { paths: [path] });
  }

  async cancelTransfer(id: string): Promise<void> {
    await this._request(`data/transfers/${encodeURIComponent(id)}`, 'DELETE');
  }

  async resumeTransfer(id: string): Promise<void> {
    await this._request(
      `data/transfers/${encodeURIComponent(id)}/resume`,
      'POST',
      {}
    );
  }

  /** The names in a folder, and where their bytes are. */
  async files(path: string): Promise<IFolder> {
    const query = { path, limit: MOST_NAMES, no_track_activity: '1' };
    return this._request(_of('data/files', query), 'GET');
  }

  /** Ask the archive about a file or folder now, whatever was believed. */
  async refresh(path: string): Promise<void> {
    await this._request('data/refresh', 'POST', { path });
  }

  async notebooks(): Promise<INotebooks> {
    return this._request('data/notebooks?no_track_activity=1', 'GET');
  }

  async mount(dataset: string): Promise<void> {
    await this._request('data/mounts', 'POST', { dataset });
  }

  async unmount(dataset: string): Promise<void> {
    await this._request(`data/mounts/${encodeURIComponent(dataset)}`, 'DELETE');
  }

  async startCluster(): Promise<ICluster> {
    return this._request('piezo/clusters', 'POST', {});
  }

  async stopCluster(id: string): Promise<void> {
    await this._request(`piezo/clusters/${encodeURIComponent(id)}`, 'DELETE');
  }

  async stopMachine(): Promise<void> {
    await this._request('machine', 'DELETE');
  }

  /** Where the notebook of an example lies in the home; it is copied there the first time. */
  async example(name: string): Promise<string> {
    const told = await this._request<{ path: string }>(
      `examples/${encodeURIComponent(name)}`,
      'POST',
      {}
    );
    return told.path;
  }

  clusterUi(id: string): string {
    return `${this._base}${ROOT}/piezo/clusters/${encodeURIComponent(id)}/ui/jobs/`;
  }

  private async _request<T>(
    path: string,
    method: 'GET' | 'POST' | 'DELETE',
    body?: object
  ): Promise<T> {
    const response = await this._answer(`${ROOT}/${path}`, {
      method,
      headers: { Accept: 'application/json' }, // so that a Hub that answers instead of the server says so
      ...(body && { body: JSON.stringify(body) })
    });
    const told = await _json(response);
    if (!response.ok) {
      throw new RestError(
        this._problem(response.status, told),
        response.status
      );
    }
    if (told === null && response.status !== 204) {
      throw new RestError(this._problems.oddAnswer, response.status);
    }
    return told as T;
  }

  private async _answer(path: string, init: RequestInit): Promise<Response> {
    try {
      return await this._send(path, init);
    } catch {
      throw new RestError(this._problems.noAnswer, 0);
    }
  }

  /** Our server's own words where it gave them, else what the status means. */
  private _problem(status: number, told: unknown): IProblem {
    if (_isProblem(told)) {
      const { code, message, next_step } = told;
      return { code, message, next_step: next_step ?? '' };
    }
    switch (status) {
      case 404:
        return this._problems.notInstalled;
      case 401:
      case 403:
        return this._problems.notAllowed;
      case 424:
        return this._problems.notRunning;
      case 502:
      case 503:
      case 504:
        return this._problems.noAnswer;
      default:
        return this._problems.oddAnswer;
    }
  }

  private readonly _problems: Problems;
}

/** An address with its query. */
function _of(path: string, query: Record<string, string>): string {
  return `${path}?${new URLSearchParams(query).toString()}`;
}

/** The body, or null where it is not JSON. */
async function _json(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

function _isProblem(told: unknown): told is IProblem {
  return (
    typeof told === 'object' &&
    told !== null &&
    typeof (told as IProblem).code === 'string' &&
    typeof (told as IProblem).message === 'string'
  );
}
