/**
 * Our words for what the server tells, and the token by which other extensions find the model.
 *
 * The server's description of these shapes is `jupyter_alc/server/openapi.yaml`.
 */
import { Token } from '@lumino/coreutils';
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';

/** What happened and what to do next. */
export interface IProblem {
  readonly code: string;
  readonly message: string;
  readonly next_step: string;
}

export interface IMachine {
  readonly key: string | null;
  readonly type: string | null;
  readonly title: string | null;
  readonly cores: number | null;
  readonly memory_bytes: number | null;
  readonly isolation: string | null;
  readonly allocation: string | null;
}

export interface IUsed {
  /** Cores busy since the last look; null at the first look. */
  readonly cores: number | null;
  readonly memory_bytes: number | null;
}

export interface IAllocation {
  readonly id: string;
  readonly state: string;
  readonly problem?: IProblem | null;
}

export interface IMachineStory {
  /** Null where this server runs on no machine of ours. */
  readonly machine: IMachine | null;
  readonly used: IUsed | null;
  readonly allocation: IAllocation | null;
  /** Why the machine service could not be asked. */
  readonly problem?: IProblem | null;
  readonly words?: string;
}

export interface IDataset {
  readonly id: string;
  readonly title: string;
  readonly where?: string;
  readonly access: 'read' | 'write';
  readonly size_bytes: number | null;
  readonly needed_bytes: number;
  readonly moved_bytes: number;
  /** Of what was needed, at least so much did not have to move. */
  readonly from_cache_bytes?: number;
  readonly unsent_files: number;
  readonly unsent_bytes: number;
  readonly sending: {
    readonly path: string;
    readonly sent_bytes: number;
    readonly size_bytes: number;
  } | null;
  readonly state: 'ok' | 'sending' | 'unsent' | 'unreachable';
  /** False once it has left the folder. */
  readonly mounted?: boolean;
  readonly problem: IProblem | null;
}

export interface IUnsent {
  readonly path: string;
  readonly state: string;
  readonly size_bytes: number;
  readonly problem: IProblem | null;
}

/** Files and folders on their way into the cache. */
export interface ITransfer {
  readonly id: string;
  readonly state:
    'listing' | 'moving' | 'waiting' | 'done' | 'failed' | 'cancelled';
  readonly paths: readonly string[];
  readonly files: number;
  readonly files_done: number;
  readonly size_bytes: number;
  /** Of the size, what is here. */
  readonly done_bytes: number;
  readonly moved_bytes: number;
  readonly bytes_per_second?: number;
  readonly seconds_left?: number | null;
  /** Seconds since 1970. */
  readonly ended?: number | null;
  /** The first that could not be brought. */
  readonly failed: readonly {
    readonly path: string;
    readonly problem: IProblem;
  }[];
  readonly failed_files: number;
  readonly problem?: IProblem | null;
}

/** What fetching would mean. */
export interface IPlan {
  readonly path: string;
  readonly files: number;
  readonly size_bytes: number;
  readonly cached_bytes: number;
  readonly move_bytes: number;
  readonly requests: number;
  /** Null while the way to the archive was never measured. */
  readonly seconds: number | null;
}

/** A name in a folder, and where its bytes are. */
export interface IFile {
  readonly name: string;
  readonly type: 'file' | 'directory';
  readonly size: number | null;
  /** folder, cached, partly, archive, or how far an unsent file is. */
  readonly state: string;
  readonly cached_bytes: number;
  /** In a view: the real path, as dataset/path. */
  readonly target?: string;
}

/** The first names of a folder. */
export interface IFolder {
  readonly entries: readonly IFile[];
  /** The last of them, where there are more. */
  readonly next: string | null;
}

/** What a notebook, or another reader, needed and what moved for it. */
export interface IReader {
  /** The notebook's path; others have a name. */
  readonly path?: string;
  readonly name?: string;
  readonly needed_bytes: number;
  readonly moved_bytes: number;
  /** From the cache. */
  readonly cached_bytes: number;
}

export interface INotebooks {
  readonly notebooks: readonly IReader[];
  readonly others: readonly IReader[];
}

export interface IDataStory {
  /** Null where there is no data service. A problem says why the datasets are no folders. */
  readonly daemon?: {
    readonly mounted: boolean;
    readonly problem?: IProblem | null;
  } | null;
  readonly datasets: readonly IDataset[];
  readonly unsent: readonly IUnsent[];
  /** The newest first. */
  readonly transfers?: readonly ITransfer[];
  readonly words?: string;
}

export interface ICluster {
  readonly id: string;
  readonly name: string;
  readonly framework: string;
  readonly version: string;
  readonly state:
    'asked' | 'starting' | 'ready' | 'stopping' | 'failed' | 'lost' | 'gone';
  readonly reason: string | null;
  readonly ending?: string | null;
  readonly cores?: number | null;
  readonly workers?: number | null;
  readonly executors: {
    readonly running: number;
    readonly wanted: number;
  } | null;
  readonly ready_seconds?: number | null;
  readonly lease_until: string | number | null;
  readonly ui: boolean;
  readonly problem: IProblem | null;
}

export interface IClustersStory {
  readonly clusters: readonly ICluster[];
}

/** What each of the three parts tells. */
export interface IStories {
  readonly machine: IMachineStory;
  readonly data: IDataStory;
  readonly clusters: IClustersStory;
}

export type Part = keyof IStories;

export const PARTS: readonly Part[] = ['machine', 'data', 'clusters'];

/** One part as the model knows it now. */
export interface IView<P extends Part = Part> {
  /** The last answer; null before the first. It stays when a later question fails. */
  readonly told: IStories[P] | null;
  /** Why the last question, or the last thing the user asked for, failed. */
  readonly problem: IProblem | null;
  /** What the user asked for and is under way, such as `flush` or `stop:<id>`. */
  readonly busy: readonly string[];
}

/** Something that is asked for only while somebody looks at it. */
export interface IAsked<T> {
  /** The last answer; null before the first. */
  readonly told: T | null;
  readonly problem: IProblem | null;
}

/** A folder that is shown in the panel. */
export interface IShownFolder extends IAsked<IFolder> {
  /** `<dataset>/<folder>`. */
  readonly path: string;
  /** The archive is being asked for it anew. */
  readonly refreshing?: boolean;
}

/** What the panel shows of the data beside its state, as long as it is wanted. */
export interface IDataDetails {
  /** The plan of fetching a dataset, by its id. */
  plan(dataset: string): IAsked<IPlan> | undefined;
  /** Ask what fetching the whole dataset would mean. */
  askPlan(dataset: string): Promise<void>;
  dropPlan(dataset: string): void;
  /** The folder of a dataset that is shown, by its id. */
  folder(dataset: string): IShownFolder | undefined;
  showFolder(path: string): Promise<void>;
  /** Ask the archive for the folder that is shown, whatever was believed of it. */
  refreshFolder(dataset: string): Promise<void>;
  hideFolder(dataset: string): void;
  /** Undefined while nobody wants to see it. */
  readonly notebooks: IAsked<INotebooks> | undefined;
  showNotebooks(): Promise<void>;
  hideNotebooks(): void;
}

export interface IAlcModel extends IDisposable {
  /** Emitted with the part that is another than before. */
  readonly changed: ISignal<IAlcModel, Part>;
  readonly machine: IView<'machine'>;
  readonly data: IView<'data'>;
  readonly clusters: IView<'clusters'>;
  readonly details: IDataDetails;
  /** Cores used at the last looks, oldest first. */
  readonly coresHistory: readonly number[];
  /** Ask one part, or all three; never rejects. */
  refresh(part?: Part): Promise<void>;
  /** Send unsent files now. */
  sendNow(): Promise<void>;
  /** Bring a dataset, or what is below a path, onto this machine. */
  fetch(path: string): Promise<void>;
  cancelTransfer(id: string): Promise<void>;
  resumeTransfer(id: string): Promise<void>;
  /** Let a dataset come back into the folder. */
  mount(dataset: string): Promise<void>;
  unmount(dataset: string): Promise<void>;
  /** Ask for a cluster with the usual options. */
  startCluster(): Promise<void>;
  stopCluster(id: string): Promise<void>;
  /** Give the machine back; true when its end was accepted. */
  stopMachine(): Promise<boolean>;
  /** Where the Spark UI of a cluster opens, below the user's own server. */
  clusterUi(id: string): string;
  /** Copy an example into the home unless it is there, and give its path; rejects with a `RestError`. */
  example(name: string): Promise<string>;
}

/** The token of the model behind the panel. */
export const IAlcModel = new Token<IAlcModel>(
  'jupyter-alc:IAlcModel',
  'What jupyter-alc knows of your machine, your data and your clusters.'
);

/** The event by which the server says that a part changed. */
export const CHANGED_EVENT = 'https://schema.jupyter-alc.org/changed/v1';
