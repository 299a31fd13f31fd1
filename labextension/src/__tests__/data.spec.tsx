import * as React from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Client, RestError } from '../client';
import { AlcModel } from '../model';
import type {
  IDataStory,
  IFile,
  IFolder,
  INotebooks,
  IPlan,
  IStories,
  ITransfer,
  Part
} from '../tokens';
import { Panel, type IPlace } from '../views/panel';
import { english } from './english';
import { CLUSTER, DATA, MACHINE, SANS } from './stories';

const NOW = Date.parse('2026-03-01T12:00:00Z');

const PLAN: IPlan = {
  path: 'sans-examples',
  files: 54,
  size_bytes: 37e6,
  cached_bytes: 12e6,
  move_bytes: 25e6,
  requests: 9,
  seconds: 4.2
};

const MOVING: ITransfer = {
  id: 't-1',
  state: 'moving',
  paths: ['sans-examples'],
  files: 54,
  files_done: 10,
  size_bytes: 37e6,
  done_bytes: 12e6,
  moved_bytes: 9e6,
  bytes_per_second: 8e6,
  seconds_left: 3.1,
  ended: null,
  failed: [],
  failed_files: 0,
  problem: null
};

const AWAY = {
  code: 'archive_unreachable',
  message: 'The archive does not answer.',
  next_step: 'It is asked again by itself.'
};

const FILES: readonly IFile[] = [
  { name: 'run', type: 'directory', size: 0, state: 'folder', cached_bytes: 0 },
  {
    name: 'a.nxs',
    type: 'file',
    size: 4e6,
    state: 'partly',
    cached_bytes: 1.2e6
  },
  { name: 'b.csv', type: 'file', size: 10, state: 'cached', cached_bytes: 10 }
];

class Told extends Client {
  constructor(public data: IDataStory) {
    super(() => Promise.reject(new Error('not used')), '/', english);
  }

  ask<P extends Part>(part: P): Promise<IStories[P]> {
    const stories: IStories = {
      machine: MACHINE,
      data: this.data,
      clusters: { clusters: [CLUSTER] }
    };
    return Promise.resolve(stories[part]);
  }

  plan = vi.fn((): Promise<IPlan> => Promise.resolve(PLAN));
  fetch = vi.fn(() => Promise.resolve());
  cancelTransfer = vi.fn(() => Promise.resolve());
  resumeTransfer = vi.fn(() => Promise.resolve());
  mount = vi.fn(() => Promise.resolve());
  unmount = vi.fn(() => Promise.resolve());
  files = vi.fn<(path: string) => Promise<IFolder>>(() =>
    Promise.resolve({ entries: FILES, next: null })
  );
  refresh = vi.fn<(path: string) => Promise<void>>(() => Promise.resolve());
  notebooks = vi.fn((): Promise<INotebooks> =>
    Promise.resolve({
      notebooks: [
        {
          path: 'work/sans.ipynb',
          needed_bytes: 8e6,
          moved_bytes: 5e6,
          cached_bytes: 3e6
        }
      ],
      others: [
        {
          name: 'bash',
          needed_bytes: 1e6,
          moved_bytes: 1e6,
          cached_bytes: 0
        }
      ]
    })
  );
}

describe('the Data section', () => {
  let host: HTMLElement;
  let root: ReturnType<typeof createRoot>;
  const place: IPlace = { stopServer: vi.fn(), openDataset: vi.fn() };
  // React 18 types `act` only in its canary; the function is there
  const act = (
    React as unknown as { act: (todo: () => unknown) => Promise<void> }
  ).act;

  beforeEach(() => {
    (
      globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }
    ).IS_REACT_ACT_ENVIRONMENT = true;
    host = document.createElement('div');
    document.body.append(host);
    root = createRoot(host);
  });

  afterEach(async () => {
    await act(() => root.unmount());
    host.remove();
  });

  async function show(
    ...transfers: ITransfer[]
  ): Promise<{ client: Told; model: AlcModel }> {
    const client = new Told({ ...DATA, datasets: [SANS], transfers });
    const model = new AlcModel(client);
    const render = (): void =>
      root.render(
        <Panel model={model} place={place} trans={english} now={NOW} />
      );
    model.changed.connect(render);
    await act(() => model.refresh());
    return { client, model };
  }

  const section = (): HTMLElement =>
    host.querySelector('[aria-labelledby="jp-AlcPanel-data"]') as HTMLElement;
  const text = (): string => section().textContent ?? '';
  const labels = (): (string | null)[] =>
    [...section().querySelectorAll('button')].map(one => one.textContent);

  async function press(label: string): Promise<void> {
    const found = [...section().querySelectorAll('button')].find(
      one => one.textContent === label
    );
    if (!found) {
      throw new Error(`no button ${label} among ${labels().join()}`);
    }
    await act(async () => {
      found.click();
      await Promise.resolve();
    });
  }

  it('tells what came from the cache', async () => {
    const { client, model } = await show();
    client.data = {
      ...DATA,
      datasets: [{ ...SANS, needed_bytes: 20e6, from_cache_bytes: 11.4e6 }]
    };
    await act(() => model.refresh('data'));
    expect(text()).toContain(
      '20 MB needed · 8.6 MB moved · 11 MB from cache · 37 MB in all'
    );
  });

  it('shows the plan before anything moves, and moves at the second press', async () => {
    const { client } = await show();
    await press('Fetch all…');
    expect(text()).toContain(
      '54 files · 37 MB · 12 MB here already · 9 requests · about 4 s'
    );
    expect(client.fetch).not.toHaveBeenCalled();
    await press('Fetch 25 MB');
    expect(client.fetch).toHaveBeenCalledWith('sans-examples');
    expect(text()).not.toContain('here already');
  });

  it('keeps the plan and tells why where the fetch was refused', async () => {
    const { client } = await show();
    const full = {
      code: 'no_space',
      message: 'The cache holds 30 MB.',
      next_step: 'Fetch less at once.'
    };
    client.fetch.mockRejectedValueOnce(new RestError(full, 507));
    await press('Fetch all…');
    await press('Fetch 25 MB');
    expect(text()).toContain('The cache holds 30 MB.Fetch less at once.');
    expect(text()).toContain('12 MB here already');
  });

  it('offers no fetch where all is here, and closes what was asked', async () => {
    const { client } = await show();
    client.plan.mockResolvedValueOnce({
      ...PLAN,
      cached_bytes: 37e6,
      move_bytes: 0
    });
    await press('Fetch all…');
    expect(text()).toContain('37 MB · all here already');
    expect(labels()).not.toContain('Fetch 0 B');
    await press('Close');
    expect(text()).not.toContain('all here already');
  });

  it('shows progress with speed and time left, for readers too, and cancels', async () => {
    const { client } = await show(MOVING);
    expect(text()).toContain('Fetching sans-examples');
    expect(text()).toContain('moving, 12 of 37 MB · 8 MB/s · 3 s left');
    const bar = section().querySelector('[role="progressbar"]');
    expect(bar?.getAttribute('aria-valuenow')).toBe('32');
    expect(bar?.getAttribute('aria-valuetext')).toBe(
      'moving, 12 of 37 MB, 8 MB/s, 3 s left'
    );
    expect(host.querySelector('[aria-live]')?.textContent).toContain(
      'Fetching sans-examples: moving'
    );
    await press('Cancel');
    expect(client.cancelTransfer).toHaveBeenCalledWith('t-1');
  });

  it('tells what went wrong with its next step, and resumes', async () => {
    const failed = { path: 'sans-examples/x.nxs', problem: AWAY };
    const { client } = await show({
      ...MOVING,
      state: 'failed',
      failed: [failed],
      failed_files: 3,
      problem: null
    });
    expect(text()).toContain('failed, 12 of 37 MB · 3 files failed');
    expect(text()).toContain('sans-examples/x.nxsThe archive does not answer.');
    expect(text()).toContain('and 2 more files');
    await press('Resume');
    expect(client.resumeTransfer).toHaveBeenCalledWith('t-1');
  });

  it('says of a transfer that waits that it goes on by itself', async () => {
    await show({ ...MOVING, state: 'waiting', problem: AWAY });
    expect(text()).toContain('waiting, 12 of 37 MB · goes on by itself');
    expect(text()).toContain('The archive does not answer.');
    expect(labels()).toEqual(expect.arrayContaining(['Cancel', 'Try now']));
  });

  it('tells once what keeps both the dataset and its transfer', async () => {
    const { client, model } = await show();
    client.data = {
      ...DATA,
      datasets: [{ ...SANS, state: 'unreachable', problem: AWAY }],
      transfers: [{ ...MOVING, state: 'waiting', problem: AWAY }]
    };
    await act(() => model.refresh('data'));
    expect(text().split('The archive does not answer.').length).toBe(2);
  });

  it('tells one that is done for a minute, and one that was overtaken no more', async () => {
    const done: ITransfer = {
      ...MOVING,
      state: 'done',
      done_bytes: 37e6,
      moved_bytes: 25e6,
      ended: NOW / 1000 - 30
    };
    const { client, model } = await show(done);
    expect(text()).toContain('Fetch of sans-examples');
    expect(text()).toContain('done, 37 MB · 25 MB moved');
    client.data = { ...client.data, transfers: [{ ...done, ended: 0 }] };
    await act(() => model.refresh('data'));
    expect(text()).not.toContain('Fetch of');
    const before: ITransfer = { ...MOVING, id: 't-0', state: 'cancelled' };
    client.data = { ...client.data, transfers: [MOVING, before] };
    await act(() => model.refresh('data'));
    expect(text().split('Fetching').length).toBe(2);
  });

  it('shows the files of a folder with where they are, goes into folders and up again', async () => {
    const { client } = await show();
    await press('Show files');
    expect(client.files).toHaveBeenCalledWith('sans-examples');
    const rows = [...section().querySelectorAll('tbody tr')].map(row =>
      [...row.querySelectorAll('td')].map(cell => cell.textContent)
    );
    expect(rows).toEqual([
      ['run/', '', ''],
      ['a.nxs', '4 MB', 'partly, 1.2 of 4 MB'],
      ['b.csv', '10 B', 'cached']
    ]);
    expect(text()).not.toContain('There is more');
    client.files.mockResolvedValueOnce({ entries: FILES, next: 'b.csv' });
    await press('run/');
    expect(text()).toContain('There is more: %dms ls tells it.');
    expect(client.files).toHaveBeenLastCalledWith('sans-examples/run');
    await press('Up');
    expect(client.files).toHaveBeenLastCalledWith('sans-examples');
    await press('Hide files');
    expect(section().querySelector('table')).toBeNull();
  });

  it('tells of a link in a view where it leads', async () => {
    const { client } = await show();
    const target = 'sans-examples/2024A/SANS/a.nxs';
    client.files.mockResolvedValueOnce({
      entries: [{ ...FILES[1], target }],
      next: null
    });
    await press('Show files');
    expect(text()).toContain(`a.nxs → ${target}`);
  });

  it('keeps the files while it asks again, and says why it could not', async () => {
    const { client, model } = await show();
    await press('Show files');
    client.files.mockRejectedValueOnce(new RestError(AWAY, 503));
    await act(() => model.refresh('data'));
    expect(text()).toContain('b.csv');
    expect(text()).toContain('It is asked again by itself.');
  });

  it('asks the archive for a folder anew at a press, and says why it could not', async () => {
    const { client } = await show();
    await press('Show files');
    client.files.mockResolvedValueOnce({
      entries: [{ ...FILES[2], name: 'new.csv' }],
      next: null
    });
    await press('Refresh');
    expect(client.refresh).toHaveBeenCalledWith('sans-examples');
    expect(text()).toContain('new.csv');
    client.refresh.mockRejectedValueOnce(new RestError(AWAY, 503));
    await press('Refresh');
    expect(text()).toContain('new.csv');
    expect(text()).toContain('It is asked again by itself.');
    expect(labels()).toContain('Refresh');
  });

  it('asks for files and notebooks only while they are looked at', async () => {
    const { client, model } = await show();
    await act(() => model.refresh('data'));
    expect(client.files).not.toHaveBeenCalled();
    expect(client.notebooks).not.toHaveBeenCalled();
  });

  it('tells the bytes of each notebook on demand', async () => {
    await show();
    await press('Bytes per notebook');
    const rows = [...section().querySelectorAll('li')].map(
      one => one.textContent
    );
    expect(rows).toEqual([
      'sans.ipynb8 MB needed · 5 MB moved · 3 MB from cache',
      'bash1 MB needed · 1 MB moved'
    ]);
    const button = [...section().querySelectorAll('button')].find(
      one => one.textContent === 'Hide bytes per notebook'
    );
    expect(button?.getAttribute('aria-expanded')).toBe('true');
    await press('Hide bytes per notebook');
    expect(section().querySelector('li')).toBeNull();
  });

  it('lets a dataset leave the folder and come back', async () => {
    const { client, model } = await show();
    await press('Unmount');
    expect(client.unmount).toHaveBeenCalledWith('sans-examples');
    client.data = { ...DATA, datasets: [{ ...SANS, mounted: false }] };
    await act(() => model.refresh('data'));
    expect(text()).toContain('not in the folder');
    expect(labels()).not.toContain('Open');
    await press('Mount');
    expect(client.mount).toHaveBeenCalledWith('sans-examples');
  });

  it('names the dataset of each button to a screen reader', async () => {
    await show(MOVING);
    const names = [...section().querySelectorAll('button')].map(one =>
      one.getAttribute('aria-label')
    );
    expect(names).toEqual(
      expect.arrayContaining([
        'Open: sans-examples',
        'Fetch all…: sans-examples',
        'Show files: sans-examples',
        'Cancel: sans-examples'
      ])
    );
  });
});
