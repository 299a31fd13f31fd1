import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Widget } from '@lumino/widgets';

/** The side panel with the machine, the data and the clusters. */
const panel: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-alc:plugin',
  description: 'Shows your machine, your data and your clusters.',
  autoStart: true,
  activate: (app: JupyterFrontEnd): void => {
    const widget = new Widget();
    widget.id = 'jupyter-alc:panel';
    widget.title.caption = 'Machine, data and clusters';
    widget.title.label = 'ALC';
    app.shell.add(widget, 'left', { rank: 300 });
  }
};

export default panel;
