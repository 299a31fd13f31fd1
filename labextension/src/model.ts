/** What the panel knows. No DOM, no addresses: it asks the client and tells by a signal. */
import { Signal, type ISignal } from '@lumino/signaling';
import type { Client } from './client';
import { DataDetails } from './details';
import { PARTS } from './tokens';
import type {
  IAlcModel,
  IDataDetails,
  IProblem,
  IStories,
  IView,
  Part
} from './tokens';

/** How many looks the line of used cores goes back. */
const HISTORY = 60;

type Views = { [P in Part]: IView<P> };

const NOTHING = { told: null, problem: null, busy: [] } as const;

export class AlcModel implements IAlcModel {
  constructor(private readonly _client: Client) {
    this._details = new DataDetails(_client, () => this._put('data', {}));
  }

  get changed(): ISignal<IAlcModel, Part> {
    return this._changed;
  }

  get machine(): IView<'machine'> {
    return this._views.machine;
  }

  get data(): IView<'data'> {
    return this._views.data;
  }

  get clusters(): IView<'clusters'> {
    return this._views.clusters;
  }

  get details(): IDataDetails {
    return this._details;
  }

  get coresHistory(): readonly number[] {
    return this._cores;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    Signal.clearData(this);
  }

  async refresh(part?: Part): Promise<void> {
    await Promise.all((part ? [part] : PARTS).map(one => this._ask(one)));
  }

  async sendNow(): Promise<void> {
    await this._act('data', 'flush', () => this._client.flush());
  }

  async fetch(path: string): Promise<void> {
    await this._act('data', `fetch:${path}`, () => this._client.fetch(path));
    if (!this.data.problem) {
      this._details.dropPlan(path);
    }
  }

  async cancelTransfer(id: string): Promise<void> {
    await this._act('data', `cancel:${id}`, () =>
      this._client.cancelTransfer(id)
    );
  }

  async resumeTransfer(id: string): Promise<void> {
    await this._act('data', `resume:${id}`, () =>
      this._client.resumeTransfer(id)
    );
  }

  async mount(dataset: string): Promise<void> {
    await this._act('data', `mount:${dataset}`, () =>
      this._client.mount(dataset)
    );
  }

  async unmount(dataset: string): Promise<void> {
    this._details.hideFolder(dataset);
    this._details.dropPlan(dataset);
    await this._act('data', `mount:${dataset}`, () =>
      this._client.unmount(dataset)
    );
  }

  async startCluster(): Promise<void> {
    await this._act('clusters', 'start', () => this._client.startCluster());
  }

  async stopCluster(id: string): Promise<void> {
    await this._act('clusters', `stop:${id}`, () =>
      this._client.stopCluster(id)
    );
  }

  async stopMachine(): Promise<boolean> {
    const wish = (): Promise<void> => this._client.stopMachine();
    return this._act('machine', 'stop', wish, { last: true });
  }

  clusterUi(id: string): string {
    return this._client.clusterUi(id);
  }

  example(name: string): Promise<string> {
    return this._client.example(name);
  }

  /** Ask one part; an answer that was overtaken by a later question is dropped. */
  private async _ask<P extends Part>(part: P): Promise<void> {
    const turn = ++this._turns[part];
    try {
      const told = await this._client.ask(part);
      if (turn === this._turns[part]) {
        this._heard(part, told);
      }
    } catch (error) {
      if (turn === this._turns[part]) {
        this._put(part, { problem: this._client.problemOf(error) });
      }
    }
  }

  private _heard<P extends Part>(part: P, told: IStories[P]): void {
    if (part === 'machine') {
      this._remember((told as IStories['machine']).used?.cores);
    }
    // what went wrong with the user's own wish stays until the next wish, or until other clusters live
    if (part === 'clusters') {
      const living = _living(told as IStories['clusters']);
      if (this._living !== null && living !== this._living) {
        delete this._refused[part];
      }
      this._living = living;
    }
    this._put(part, { told, problem: this._refused[part] ?? null });
    if (part === 'data') {
      void this._details.refresh();
    }
  }

  private _remember(cores: number | null | undefined): void {
    if (typeof cores === 'number') {
      this._cores = [...this._cores, cores].slice(-HISTORY);
    }
  }

  /** Do what the user asked for, then look again, unless it ends the server. True when it was accepted. */
  private async _act(
    part: Part,
    name: string,
    wish: () => Promise<unknown>,
    { last = false } = {}
  ): Promise<boolean> {
    delete this._refused[part];
    this._put(part, {
      problem: null,
      busy: [...this._views[part].busy, name]
    });
    try {
      await wish();
      if (last) {
        return true;
      }
    } catch (error) {
      this._refused[part] = this._client.problemOf(error);
      this._living = null;
    }
    const busy = this._views[part].busy.filter(one => one !== name);
    this._put(part, { busy, problem: this._refused[part] ?? null });
    await this._ask(part);
    return !this._refused[part];
  }

  private _put<P extends Part>(part: P, news: Partial<IView<P>>): void {
    if (this._isDisposed) {
      return;
    }
    const before: IView<P> = this._views[part];
    this._views = { ...this._views, [part]: { ...before, ...news } };
    this._changed.emit(part);
  }

  private readonly _details: DataDetails;
  private readonly _changed = new Signal<IAlcModel, Part>(this);
  private readonly _turns = { machine: 0, data: 0, clusters: 0 };
  private readonly _refused: { [P in Part]?: IProblem } = {};
  private _views: Views = {
    machine: NOTHING,
    data: NOTHING,
    clusters: NOTHING
  };
  private _cores: readonly number[] = [];
  /** The clusters that lived when a wish was refused; null until the next answer tells. */
  private _living: string | null = null;
  private _isDisposed = false;
}

function _living(story: IStories['clusters']): string {
  const living = story.clusters.filter(one => one.state !== 'gone');
  return living.map(one => one.id).join();
}
