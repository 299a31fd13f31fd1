/** Plans, folders and notebooks: asked for while somebody looks at them, and again when the data changed. */
import type { Client } from './client';
import type {
  IAsked,
  IDataDetails,
  INotebooks,
  IPlan,
  IShownFolder
} from './tokens';

const UNASKED = { told: null, problem: null } as const;

export class DataDetails implements IDataDetails {
  /** `changed` is called after each change. */
  constructor(
    private readonly _client: Client,
    private readonly _changed: () => void
  ) {}

  plan(dataset: string): IAsked<IPlan> | undefined {
    return this._plans.get(dataset);
  }

  async askPlan(dataset: string): Promise<void> {
    this._plans.set(dataset, UNASKED);
    this._changed();
    const told = await this._answer(this._client.plan(dataset), null);
    if (this._plans.has(dataset)) {
      this._plans.set(dataset, told);
      this._changed();
    }
  }

  dropPlan(dataset: string): void {
    if (this._plans.delete(dataset)) {
      this._changed();
    }
  }

  folder(dataset: string): IShownFolder | undefined {
    return this._folders.get(dataset);
  }

  async showFolder(path: string): Promise<void> {
    const dataset = path.split('/', 1)[0];
    const before = this._folders.get(dataset);
    if (before?.path !== path) {
      // what was shown stays until the answer is there
      this._folders.set(dataset, {
        ...(before ?? UNASKED),
        path,
        refreshing: false
      });
      this._changed();
    }
    const told = await this._answer(
      this._client.files(path),
      before?.path === path ? before.told : null
    );
    const now = this._folders.get(dataset);
    if (now?.path === path) {
      this._folders.set(dataset, { ...now, ...told });
      this._changed();
    }
  }

  async refreshFolder(dataset: string): Promise<void> {
    const shown = this._folders.get(dataset);
    if (!shown || shown.refreshing) {
      return;
    }
    const { path } = shown;
    this._folders.set(dataset, { ...shown, refreshing: true });
    this._changed();
    const { problem } = await this._answer(this._client.refresh(path), null);
    const now = this._folders.get(dataset);
    if (now?.path !== path) {
      return; // somebody has gone elsewhere meanwhile
    }
    this._folders.set(dataset, { ...now, problem, refreshing: false });
    this._changed();
    if (!problem) {
      await this.showFolder(path);
    }
  }

  hideFolder(dataset: string): void {
    if (this._folders.delete(dataset)) {
      this._changed();
    }
  }

  get notebooks(): IAsked<INotebooks> | undefined {
    return this._notebooks;
  }

  async showNotebooks(): Promise<void> {
    this._notebooks ??= UNASKED;
    this._changed();
    const told = await this._answer(
      this._client.notebooks(),
      this._notebooks.told
    );
    if (this._notebooks) {
      this._notebooks = told;
      this._changed();
    }
  }

  hideNotebooks(): void {
    this._notebooks = undefined;
    this._changed();
  }

  /** Ask again for what is looked at. */
  async refresh(): Promise<void> {
    const folders = [...this._folders.values()].map(one => one.path);
    await Promise.all([
      ...folders.map(path => this.showFolder(path)),
      this._notebooks && this.showNotebooks()
    ]);
  }

  /** The answer, or why there is none beside what was known before. */
  private async _answer<T>(
    asked: Promise<T>,
    before: T | null
  ): Promise<IAsked<T>> {
    try {
      return { told: await asked, problem: null };
    } catch (error) {
      return { told: before, problem: this._client.problemOf(error) };
    }
  }

  private readonly _plans = new Map<string, IAsked<IPlan>>();
  private readonly _folders = new Map<string, IShownFolder>();
  private _notebooks: IAsked<INotebooks> | undefined;
}
