/** What a server may tell, for the tests. */
import type { ICluster, IDataset, IDataStory, IMachineStory } from '../tokens';

export const MACHINE: IMachineStory = {
  machine: {
    key: 'm-7f2a',
    type: 'small',
    title: 'Small',
    cores: 2,
    memory_bytes: 4e9,
    isolation: 'namespaces',
    allocation: 'a-1'
  },
  used: { cores: 1.4, memory_bytes: 1.9e9 },
  allocation: { id: 'a-1', state: 'ready', problem: null },
  problem: null,
  words: ''
};

export const SANS: IDataset = {
  id: 'sans-examples',
  title: 'Small-angle scattering examples',
  where: 'the facility archive',
  access: 'read',
  size_bytes: 37_000_000,
  needed_bytes: 8_100_000,
  moved_bytes: 8_600_000,
  unsent_files: 0,
  unsent_bytes: 0,
  sending: null,
  state: 'ok',
  problem: null
};

export const RESULTS: IDataset = {
  ...SANS,
  id: 'results',
  title: 'Your results',
  access: 'write',
  size_bytes: null,
  needed_bytes: 0,
  moved_bytes: 0,
  unsent_files: 2,
  unsent_bytes: 1_900_000,
  sending: {
    path: 'results/run/rg.parquet',
    sent_bytes: 1_200_000,
    size_bytes: 1_900_000
  },
  state: 'sending'
};

export const DATA: IDataStory = { datasets: [SANS, RESULTS], unsent: [] };

export const CLUSTER: ICluster = {
  id: 'c-1',
  name: 'guinier',
  framework: 'spark',
  version: '4.3.0',
  state: 'ready',
  reason: '',
  executors: { running: 2, wanted: 2 },
  lease_until: '2026-03-01T12:28:00Z',
  ui: true,
  problem: null
};
