import * as React from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AlcModel } from '../model';
import { Client, RestError } from '../client';
import type {
  ICluster,
  IDataset,
  IFile,
  IPlan,
  IStories,
  ITransfer,
  Part
} from '../tokens';
import { clusterState, framework } from '../views/clusters';
import {
  datasetState,
  figures,
  fileState,
  planWords,
  transferName,
  transferState,
  transferWords
} from '../views/dataWords';
import { allocationState } from '../views/machine';
import { Panel, type IPlace } from '../views/panel';
import { duration, partOf, size, timeLeft } from '../views/words';
import alike from './alike.json';
import { english } from './english';
import { CLUSTER, DATA, MACHINE, RESULTS, SANS } from './stories';

const NOW = Date.parse('2026-03-01T12:00:00Z');

class Told extends Client {
  refusal: RestError | null = null;

  constructor(private readonly _stories: IStories) {
    super(() => Promise.reject(new Error('not used')), '/user/ada/', english);
  }

  ask<P extends Part>(part: P): Promise<IStories[P]> {
    return this.refusal
      ? Promise.reject(this.refusal)
      : Promise.resolve(this._stories[part]);
  }

  flush = vi.fn(() => Promise.resolve());
  stopCluster = vi.fn(() => Promise.resolve());
}

describe('Panel', () => {
  let host: HTMLElement;
  let root: ReturnType<typeof createRoot>;
  const openDataset = vi.fn();
  const place: IPlace = { stopServer: vi.fn(), openDataset };

  beforeEach(() => {
    (
      globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }
    ).IS_REACT_ACT_ENVIRONMENT = true;
    host = document.createElement('div');
    document.body.append(host);
    root = createRoot(host);
  });

  afterEach(() => {
    act(() => root.unmount());
    host.remove();
  });

  // React 18 types `act` only in its canary; the function is there
  const act = (React as unknown as { act: (todo: () => void) => void }).act;

  let again: (refusal: RestError | null) => Promise<void>;

  async function show(news: Partial<IStories> = {}): Promise<Told> {
    const client = new Told({
      machine: MACHINE,
      data: DATA,
      clusters: { clusters: [CLUSTER] },
      ...news
    });
    const model = new AlcModel(client);
    await model.refresh();
    const render = (): void =>
      act(() =>
        root.render(
          <Panel model={model} place={place} trans={english} now={NOW} />
        )
      );
    render();
    again = async refusal => {
      client.refusal = refusal;
      await model.refresh();
      render();
    };
    return client;
  }

  const button = (label: string): HTMLButtonElement => {
    const found = [...host.querySelectorAll('button')].find(
      one => one.textContent === label
    );
    if (!found) {
      throw new Error(`no button ${label}`);
    }
    return found;
  };

  it('tells what the machine is and uses', async () => {
    await show();
    const text = host.textContent ?? '';
    expect(text).toContain('2 cores · 4 GB · isolated: namespaces');
    expect(text).toContain('cores 1.4 of 2');
    expect(text).toContain('memory 1.9 of 4 GB');
  });

  it('tells what was needed, moved, and is being sent', async () => {
    await show();
    const text = host.textContent ?? '';
    expect(text).toContain('8.1 MB needed · 8.6 MB moved · 37 MB in all');
    expect(text).toContain('2 files unsent');
    expect(text).toContain('sending rg.parquet, 1.2 of 1.9 MB');
  });

  it('says that nothing moved yet', async () => {
    await show({
      data: {
        datasets: [{ ...DATA.datasets[0], needed_bytes: 0, moved_bytes: 0 }],
        unsent: []
      }
    });
    expect(host.textContent).toContain('nothing moved yet · 37 MB in all');
  });

  it('sends and opens at the press of a button', async () => {
    const client = await show();
    act(() => button('Send now').click());
    act(() => button('Open').click());
    expect(client.flush).toHaveBeenCalledOnce();
    expect(openDataset).toHaveBeenCalledWith('sans-examples');
  });

  it("links to the Spark UI below the user's server, in a new tab", async () => {
    await show();
    const link = host.querySelector('a');
    expect(link?.getAttribute('href')).toBe(
      '/user/ada/jupyter-alc/v1/piezo/clusters/c-1/ui/jobs/'
    );
    expect(link?.target).toBe('_blank');
    expect(host.textContent).toContain('Spark 4.3 · ready');
    expect(host.textContent).toContain('2 of 2 executors · lease 28 min');
  });

  it('stops the cluster whose button was pressed', async () => {
    const client = await show();
    act(() => button('Stop').click());
    expect(client.stopCluster).toHaveBeenCalledWith('c-1');
  });

  it('tells a problem with its next step, and takes no markup from it', async () => {
    const problem = {
      code: 'denied',
      message: 'The archive refused <b>rg.csv</b>.',
      next_step: 'Ask for write access.'
    };
    await show({
      data: {
        datasets: [{ ...RESULTS, sending: null, state: 'unsent' }],
        unsent: [
          {
            path: 'results/run/rg.csv',
            state: 'refused',
            size_bytes: 10,
            problem
          }
        ]
      }
    });
    const told = host.querySelector('.jp-AlcPanel-problem')?.textContent;
    expect(told).toBe(
      'run/rg.csvThe archive refused <b>rg.csv</b>.Ask for write access.'
    );
  });

  it('says why datasets are no folders, and opens none then', async () => {
    const problem = {
      code: 'missing',
      message: 'Your datasets are no folders here: /dev/fuse is not there.',
      next_step: 'Open them as dms://dataset/file in Python.'
    };
    await show({ data: { ...DATA, daemon: { mounted: false, problem } } });
    const told = host.querySelectorAll('.jp-AlcPanel-problem');
    expect([...told].map(one => one.textContent)).toEqual([
      `${problem.message}${problem.next_step}`
    ]);
    expect(
      [...host.querySelectorAll('button')].map(one => one.textContent)
    ).not.toContain('Open');
  });

  it('keeps telling of a cluster that ended unasked, with nothing to stop', async () => {
    const problem = {
      code: 'unavailable',
      message: 'A worker died.',
      next_step: 'Start a cluster again.'
    };
    await show({
      clusters: { clusters: [{ ...CLUSTER, state: 'gone', problem }] }
    });
    expect(host.textContent).toContain('Spark 4.3 · gone');
    expect(host.textContent).toContain('A worker died.');
    expect(host.textContent).toContain('None runs.');
    expect(
      [...host.querySelectorAll('button')].map(one => one.textContent)
    ).not.toContain('Stop');
  });

  it('says nothing twice of two clusters with one name', async () => {
    const one = { ...CLUSTER, name: 'spark' };
    const clusters = { clusters: [one, { ...one, id: 'c-2' }] };
    const client = await show({ clusters });
    clusters.clusters = clusters.clusters.map(each => ({
      ...each,
      state: 'stopping'
    }));
    await again(null);
    const spoken = host.querySelector('[aria-live="polite"]')?.textContent;
    expect(spoken).toMatch(/(Cluster spark: stopping){2}$/);
    expect(spoken).not.toContain('spark: ready');
    expect(client.refusal).toBeNull();
  });

  it('tells once what is wrong with all three, and keeps what was known', async () => {
    await show();
    const away = { code: 'no_answer', message: 'No answer.', next_step: '' };
    await again(new RestError(away, 0));
    expect(host.textContent?.split('No answer.').length).toBe(2);
    expect(host.textContent).toContain('sans-examples');
  });

  it('tells nothing of a server that is no more', async () => {
    await show();
    const over = { code: 'not_running', message: 'Over.', next_step: 'Start.' };
    await again(new RestError(over, 424));
    expect(host.textContent).toBe('Over.Start.');
  });

  it('says every state in words and announces it', async () => {
    await show();
    const spoken = host.querySelector('[aria-live="polite"]')?.textContent;
    expect(spoken).toContain('Dataset results: 2 files unsent');
    expect(spoken).toContain('Cluster guinier: ready');
    for (const dot of host.querySelectorAll('.jp-AlcPanel-dot')) {
      expect(dot.getAttribute('aria-hidden')).toBe('true');
    }
  });

  it('says what to do where there is no machine, data or cluster', async () => {
    await show({
      machine: {
        ...MACHINE,
        machine: null,
        allocation: null,
        words: 'This server runs on no machine of ours.'
      },
      data: { datasets: [], unsent: [], words: '' },
      clusters: { clusters: [] }
    });
    const text = host.textContent ?? '';
    expect(text).toContain('This server runs on no machine of ours.');
    expect(text).toContain('No dataset is mounted. Choose some');
    expect(text).toContain('None runs. Start one with New');
    expect(text).not.toContain('Stop my server');
  });
});

describe('panel and magics', () => {
  // tests/unit/magics/test_words.py reads the same file
  it.each(alike.sizes as [number, string][])('tell %i bytes as %s', (b, w) => {
    expect(size(b)).toBe(w);
  });

  it.each(alike.parts as [number, number, string][])(
    'tell %i of %i as %s',
    (done, whole, words) => {
      expect(partOf(done, whole, english)).toBe(words);
    }
  );

  it.each(alike.datasets as [Partial<IDataset>, string][])(
    'tell %o as %s',
    (dataset, words) => {
      expect(datasetState({ ...SANS, ...dataset }, english)).toBe(words);
    }
  );

  it.each(alike.frameworks as [ICluster, string][])(
    'tell %o as %s',
    (cluster, words) => {
      expect(framework(cluster)).toBe(words);
    }
  );

  it.each(alike.durations as [number, string][])(
    'tell %d seconds as %s',
    (seconds, words) => {
      expect(duration(seconds, english)).toBe(words);
    }
  );

  it.each(alike.files as [IFile, string][])('tell %o as %s', (file, words) => {
    expect(fileState(file, english)).toBe(words);
  });

  it.each(alike.plans as [IPlan, string][])('tell %o as %s', (plan, words) => {
    expect(planWords(plan, english).join(' · ')).toBe(words);
  });

  it.each(alike.transfers as unknown as [ITransfer, string][])(
    'tell %o as %s',
    (transfer, words) => {
      expect(transferWords(transfer, english).join(' · ')).toBe(words);
    }
  );

  it.each(alike.transferNames as [string[], string][])(
    'call a transfer of %o %s',
    (paths, words) => {
      expect(transferName(paths, english)).toBe(words);
    }
  );

  it('call each state by its name in REST', () => {
    const { cluster, machine, transfer } = alike.states;
    expect(
      transfer.map(one => transferState(one as ITransfer['state'], english))
    ).toEqual(transfer);
    expect(machine.map(one => allocationState(one, english))).toEqual(machine);
    expect(
      cluster.map(one =>
        clusterState({ ...CLUSTER, state: one } as ICluster, english)
      )
    ).toEqual(cluster);
  });
});

describe('words', () => {
  it.each([
    [0, 0, 0, 'nothing moved yet'],
    [8.1e6, 8.6e6, 0, '8.1 MB needed · 8.6 MB moved'],
    [20e6, 8.6e6, 11.4e6, '20 MB needed · 8.6 MB moved · 11 MB from cache'],
    [5e6, 0, 5e6, '5 MB needed · 0 B moved · 5 MB from cache']
  ])(
    'tells %d needed, %d moved and %d from cache',
    (needed, moved, fromCache, words) => {
      expect(figures(needed, moved, fromCache, english).join(' · ')).toBe(
        words
      );
    }
  );

  it('names a shared unit once', () => {
    expect(partOf(1_200_000, 1_900_000, english)).toBe('1.2 of 1.9 MB');
    expect(partOf(900_000, 1_900_000, english)).toBe('900 kB of 1.9 MB');
  });

  it.each([
    ['2026-03-01T12:00:42Z', '42 s'],
    ['2026-03-01T16:12:00Z', '4 h 12 min'],
    [NOW / 1000 + 1800, '30 min'],
    [null, '']
  ])('tells how long until %s', (then, words) => {
    expect(timeLeft(then, NOW, english)).toBe(words);
  });
});
