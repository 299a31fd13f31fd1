/** Wiring: which part goes where in JupyterLab. Nothing is decided here. */
import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { Event } from '@jupyterlab/services';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Poll } from '@lumino/polling';
import { CommandIDs, addExampleCommand, addPanelCommands } from './commands';
import { connect } from './connection';
import { AlcModel } from './model';
import { AlcPanel, PANEL_ID } from './panel';
import { CHANGED_EVENT, IAlcModel, PARTS, type Part } from './tokens';

/** What is known, and the server's word that something changed. */
const model: JupyterFrontEndPlugin<IAlcModel> = {
  id: 'jupyter-alc:model',
  description: 'Knows your machine, your data and your clusters.',
  autoStart: true,
  provides: IAlcModel,
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null
  ): IAlcModel => {
    const trans = (translator ?? nullTranslator).load('jupyter_alc');
    const { events, serverSettings } = app.serviceManager;
    const known = new AlcModel(connect(serverSettings, trans));
    const heard = (_: Event.IManager, event: Event.Emission): void => {
      const part = PARTS.find(one => one === (event['what'] as Part));
      if (event.schema_id === CHANGED_EVENT && part) {
        void known.refresh(part);
      }
    };
    events.stream.connect(heard, known);
    return known;
  }
};

/** The side panel. It asks only while it can be seen. */
const panel: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-alc:panel',
  description: 'Shows your machine, your data and your clusters.',
  autoStart: true,
  requires: [IAlcModel],
  optional: [
    ITranslator,
    ILayoutRestorer,
    ICommandPalette,
    ISettingRegistry,
    JupyterFrontEnd.IPaths
  ],
  activate: (
    app: JupyterFrontEnd,
    known: IAlcModel,
    translator: ITranslator | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    settings: ISettingRegistry | null,
    paths: JupyterFrontEnd.IPaths | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_alc');
    const { commands } = app;
    addPanelCommands(app, known, trans, paths);
    const widget = new AlcPanel(
      known,
      {
        stopServer: () => void commands.execute(CommandIDs.stopServer),
        openDataset: dataset =>
          void commands.execute(CommandIDs.openDataset, { dataset })
      },
      trans
    );
    app.shell.add(widget, 'left', { rank: 150 });
    restorer?.add(widget, PANEL_ID);

    const poll = new Poll({
      name: 'jupyter-alc:panel',
      factory: () => known.refresh(),
      frequency: { interval: 5000, backoff: true, max: 60_000 },
      standby: () => document.hidden || !widget.isVisible
    });
    widget.disposed.connect(() => poll.dispose());
    void settings?.load(panel.id).then(loaded => {
      const apply = (): void => {
        const seconds = Number(loaded.get('pollSeconds').composite) || 5;
        poll.frequency = { ...poll.frequency, interval: 1000 * seconds };
      };
      apply();
      loaded.changed.connect(apply);
    });

    const category = trans.__('Machine, Data and Clusters');
    for (const command of [
      CommandIDs.showPanel,
      CommandIDs.sendNow,
      CommandIDs.newCluster,
      CommandIDs.stopServer
    ]) {
      palette?.addItem({ command, category });
    }
  }
};

/** The example notebook in the launcher. */
const example: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-alc:example',
  description: 'Offers the example notebook in the launcher.',
  autoStart: true,
  requires: [IAlcModel],
  optional: [ITranslator, ILauncher, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    known: IAlcModel,
    translator: ITranslator | null,
    launcher: ILauncher | null,
    palette: ICommandPalette | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_alc');
    addExampleCommand(app, known, trans);
    const command = CommandIDs.openExample;
    launcher?.add({ command, category: trans.__('jupyter-alc examples') });
    palette?.addItem({ command, category: trans.__('jupyter-alc examples') });
  }
};

export default [model, panel, example];
