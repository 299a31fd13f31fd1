/** What can be asked for by name: from the palette, the launcher, the panel, or another extension. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, showErrorMessage, showDialog } from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { RestError } from './client';
import { guinierIcon, panelIcon } from './icons';
import { PANEL_ID } from './panel';
import type { IAlcModel } from './tokens';
import { whatStoppingDoes } from './views/words';

export namespace CommandIDs {
  export const showPanel = 'jupyter-alc:show-panel';
  export const sendNow = 'jupyter-alc:send-now';
  export const newCluster = 'jupyter-alc:new-cluster';
  export const stopServer = 'jupyter-alc:stop-server';
  export const openDataset = 'jupyter-alc:open-dataset';
  export const openExample = 'jupyter-alc:open-example';
}

const NO_ARGUMENTS = { args: { type: 'object', properties: {} } } as const;

/** The commands of the panel. */
export function addPanelCommands(
  app: JupyterFrontEnd,
  model: IAlcModel,
  trans: TranslationBundle,
  paths: JupyterFrontEnd.IPaths | null
): void {
  const { commands } = app;
  commands.addCommand(CommandIDs.showPanel, {
    label: trans.__('Show Machine, Data and Clusters'),
    icon: panelIcon,
    describedBy: NO_ARGUMENTS,
    execute: () => app.shell.activateById(PANEL_ID)
  });
  commands.addCommand(CommandIDs.sendNow, {
    label: trans.__('Send Unsent Results Now'),
    describedBy: NO_ARGUMENTS,
    execute: () => model.sendNow()
  });
  commands.addCommand(CommandIDs.newCluster, {
    label: trans.__('Start a Spark Cluster'),
    describedBy: NO_ARGUMENTS,
    execute: () => model.startCluster()
  });
  commands.addCommand(CommandIDs.stopServer, {
    label: trans.__('Stop My Server…'),
    isEnabled: () => model.machine.told?.machine !== null,
    describedBy: NO_ARGUMENTS,
    execute: () => _stopServer(model, trans, paths)
  });
  commands.addCommand(CommandIDs.openDataset, {
    label: trans.__('Show a Dataset in the File Browser'),
    describedBy: {
      args: {
        type: 'object',
        required: ['dataset'],
        properties: {
          dataset: { type: 'string', description: trans.__('Its id') }
        }
      }
    },
    execute: async args => {
      await commands.execute('filebrowser:activate');
      await commands.execute('filebrowser:go-to-path', {
        path: `data/${args['dataset'] as string}`
      });
    }
  });
}

/** The command behind the launcher's card. */
export function addExampleCommand(
  app: JupyterFrontEnd,
  model: IAlcModel,
  trans: TranslationBundle
): void {
  app.commands.addCommand(CommandIDs.openExample, {
    label: trans.__('SANS: Guinier radii'),
    caption: trans.__(
      'Open the example notebook; it is copied into your home the first time'
    ),
    icon: guinierIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          name: {
            type: 'string',
            description: trans.__('Which example'),
            default: 'sans_guinier'
          }
        }
      }
    },
    execute: args =>
      _openExample(
        app,
        model,
        trans,
        (args['name'] as string | undefined) ?? 'sans_guinier'
      )
  });
}

async function _openExample(
  app: JupyterFrontEnd,
  model: IAlcModel,
  trans: TranslationBundle,
  name: string
): Promise<void> {
  try {
    const path = await model.example(name);
    await app.commands.execute('docmanager:open', { path });
  } catch (error) {
    if (!(error instanceof RestError)) {
      throw error;
    }
    const { message, next_step } = error.problem;
    await showErrorMessage(
      trans.__('The example could not be opened'),
      `${message} ${next_step}`.trim()
    );
  }
}

/** Ask, stop, and go where a new server can be started. */
async function _stopServer(
  model: IAlcModel,
  trans: TranslationBundle,
  paths: JupyterFrontEnd.IPaths | null
): Promise<void> {
  await model.refresh('data'); // the panel may never have been seen
  const answer = await showDialog({
    title: trans.__('Stop your server?'),
    body: whatStoppingDoes(model.data, trans),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Keep it') }),
      Dialog.warnButton({ label: trans.__('Stop my server') })
    ],
    defaultButton: 0
  });
  if (answer.button.accept && (await model.stopMachine())) {
    _goHome(paths);
  }
}

function _goHome(paths: JupyterFrontEnd.IPaths | null): void {
  const { hubHost, hubPrefix } = paths?.urls ?? {};
  if (hubPrefix) {
    window.location.href = (hubHost ?? '') + URLExt.join(hubPrefix, 'home');
  }
}
