/** The panel as JupyterLab holds it. */
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import * as React from 'react';
import { panelIcon } from './icons';
import type { IAlcModel } from './tokens';
import { Panel, type IPlace } from './views/panel';

export const PANEL_ID = 'jupyter-alc:panel';

export class AlcPanel extends ReactWidget {
  constructor(
    private readonly _model: IAlcModel,
    private readonly _place: IPlace,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.id = PANEL_ID;
    this.addClass('jp-AlcPanel');
    this.title.icon = panelIcon;
    this.title.caption = this._trans.__('Machine, data and clusters');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', this.title.caption);
  }

  /** Ask at once when the panel comes into sight. */
  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this._model.refresh();
  }

  protected render(): JSX.Element {
    return (
      <UseSignal signal={this._model.changed}>
        {() => (
          <Panel
            model={this._model}
            place={this._place}
            trans={this._trans}
            now={Date.now()}
          />
        )}
      </UseSignal>
    );
  }
}
