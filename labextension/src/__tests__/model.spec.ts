import { beforeEach, describe, expect, it } from 'vitest';
import { Client, RestError } from '../client';
import { AlcModel } from '../model';
import type { ICluster, IStories, Part } from '../tokens';
import { english } from './english';
import { CLUSTER, DATA, MACHINE } from './stories';

const GONE = {
  code: 'unavailable',
  message: 'The data service does not answer.',
  next_step: 'Wait.'
};

/** A client that answers from memory, later or never, as the test wants. */
class Told extends Client {
  constructor() {
    super(() => Promise.reject(new Error('not used')), '/', english);
  }

  ask<P extends Part>(part: P): Promise<IStories[P]> {
    this.asked.push(part);
    return this.failing ?? Promise.resolve(this.stories[part]);
  }

  flush(): Promise<void> {
    return this.refusing ?? Promise.resolve();
  }

  startCluster(): Promise<ICluster> {
    return this.refusing ?? Promise.resolve(CLUSTER);
  }

  stopMachine(): Promise<void> {
    return this.refusing ?? Promise.resolve();
  }

  readonly asked: Part[] = [];
  stories: IStories = {
    machine: MACHINE,
    data: DATA,
    clusters: { clusters: [CLUSTER] }
  };
  failing: Promise<never> | null = null;
  refusing: Promise<never> | null = null;
}

describe('AlcModel', () => {
  let client: Told;
  let model: AlcModel;

  beforeEach(() => {
    client = new Told();
    model = new AlcModel(client);
  });

  it('knows nothing before the first answer', () => {
    expect(model.data).toEqual({ told: null, problem: null, busy: [] });
  });

  it('asks all parts and tells each change', async () => {
    const changed: Part[] = [];
    model.changed.connect((_, part) => {
      changed.push(part);
    });
    await model.refresh();
    expect(changed.sort()).toEqual(['clusters', 'data', 'machine']);
    expect(model.data.told).toBe(DATA);
    expect(model.clusters.told?.clusters).toEqual([CLUSTER]);
  });

  it('asks one part alone when told which one changed', async () => {
    await model.refresh('data');
    expect(client.asked).toEqual(['data']);
  });

  it('keeps the last answer when a later question fails, and says why', async () => {
    await model.refresh('data');
    client.failing = Promise.reject(new RestError(GONE, 503));
    await model.refresh('data');
    expect(model.data.told).toBe(DATA);
    expect(model.data.problem).toBe(GONE);
    client.failing = null;
    await model.refresh('data');
    expect(model.data.problem).toBeNull();
  });

  it('drops an answer that a later question has overtaken', async () => {
    let answer: (told: IStories['data']) => void = () => undefined;
    const ask = client.ask.bind(client);
    client.ask = <P extends Part>(): Promise<IStories[P]> =>
      new Promise(resolve => {
        answer = resolve as typeof answer;
      });
    const slow = model.refresh('data');
    client.ask = ask;
    await model.refresh('data');
    answer({ datasets: [], unsent: [] });
    await slow;
    expect(model.data.told).toBe(DATA);
  });

  it('is busy while it does what the user asked for, and looks again after', async () => {
    const sending = model.sendNow();
    expect(model.data.busy).toEqual(['flush']);
    await sending;
    expect(model.data.busy).toEqual([]);
    expect(client.asked).toEqual(['data']);
  });

  it('keeps the reason of a refused wish until the next wish', async () => {
    client.refusing = Promise.reject(new RestError(GONE, 503));
    await model.sendNow();
    await model.refresh('data');
    expect(model.data.problem).toBe(GONE);
    client.refusing = null;
    await model.sendNow();
    expect(model.data.problem).toBeNull();
  });

  it('drops the reason why there is no room for a cluster once others live', async () => {
    client.refusing = Promise.reject(new RestError(GONE, 409));
    await model.startCluster();
    await model.refresh('clusters');
    expect(model.clusters.problem).toBe(GONE);
    client.stories = { ...client.stories, clusters: { clusters: [] } };
    await model.refresh('clusters');
    expect(model.clusters.problem).toBeNull();
  });

  it('asks nothing of a server whose end was accepted', async () => {
    await model.stopMachine();
    expect(client.asked).toEqual([]);
    expect(model.machine.busy).toEqual(['stop']);
  });

  it('says whether the end of the machine was accepted', async () => {
    expect(await model.stopMachine()).toBe(true);
    client.refusing = Promise.reject(new RestError(GONE, 503));
    expect(await model.stopMachine()).toBe(false);
    expect(model.machine.problem).toBe(GONE);
  });

  it('remembers the used cores of the last sixty looks', async () => {
    for (let look = 0; look < 70; look++) {
      client.stories = {
        ...client.stories,
        machine: { ...MACHINE, used: { cores: look, memory_bytes: 1 } }
      };
      await model.refresh('machine');
    }
    expect(model.coresHistory.length).toBe(60);
    expect(model.coresHistory[59]).toBe(69);
  });

  it('is silent once disposed', async () => {
    let heard = 0;
    model.changed.connect(() => {
      heard += 1;
    });
    model.dispose();
    model.dispose();
    await model.refresh();
    expect(heard).toBe(0);
  });
});
