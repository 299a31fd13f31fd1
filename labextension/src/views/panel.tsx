/** The three sections, and what a screen reader is told when a state changes. */
import * as React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IAlcModel, IProblem } from '../tokens';
import { clusterState, ClustersSection } from './clusters';
import { DataSection } from './data';
import { datasetState, transferName, transferState } from './dataWords';
import { MachineSection } from './machine';
import { Problem } from './parts';

/** What the panel asks of the place it lives in. */
export interface IPlace {
  stopServer(): void;
  openDataset(dataset: string): void;
}

export function Panel(props: {
  model: IAlcModel;
  place: IPlace;
  trans: TranslationBundle;
  now: number;
}): JSX.Element {
  const { model, now, place, trans } = props;
  const common = _common(model);
  if (common?.code === 'not_running') {
    return <Problem problem={common} />; // what was known of it is over
  }
  // what is wrong with all three is told once
  const calm = common ? { problem: null } : {};
  return (
    <>
      {common && <Problem problem={common} />}
      <MachineSection
        view={{ ...model.machine, ...calm }}
        coresHistory={model.coresHistory}
        trans={trans}
        onStop={() => place.stopServer()}
      />
      <DataSection
        view={{ ...model.data, ...calm }}
        details={model.details}
        trans={trans}
        now={now}
        onSend={() => void model.sendNow()}
        onOpen={dataset => place.openDataset(dataset)}
        onFetch={path => void model.fetch(path)}
        onCancel={id => void model.cancelTransfer(id)}
        onResume={id => void model.resumeTransfer(id)}
        onMount={dataset => void model.mount(dataset)}
        onUnmount={dataset => void model.unmount(dataset)}
      />
      <ClustersSection
        view={{ ...model.clusters, ...calm }}
        trans={trans}
        now={now}
        uiOf={id => model.clusterUi(id)}
        onNew={() => void model.startCluster()}
        onStop={id => void model.stopCluster(id)}
      />
      <div className="jp-AlcPanel-spoken" role="status" aria-live="polite">
        {spoken(model, trans).map((words, place) => (
          <div key={place}>{words}</div>
        ))}
      </div>
    </>
  );
}

/** The problem that all three parts have. */
function _common(model: IAlcModel): IProblem | null {
  const { clusters, data, machine } = model;
  const code = machine.problem?.code;
  return code === data.problem?.code && code === clusters.problem?.code
    ? machine.problem
    : null;
}

/** The states in words, one line each, without figures that run. */
export function spoken(model: IAlcModel, trans: TranslationBundle): string[] {
  const datasets = model.data.told?.datasets ?? [];
  const clusters = model.clusters.told?.clusters ?? [];
  const transfers = model.data.told?.transfers ?? [];
  return [
    ...datasets.map(one =>
      trans.__('Dataset %1: %2', one.id, datasetState(one, trans))
    ),
    ...transfers.map(one =>
      trans.__(
        'Fetching %1: %2',
        transferName(one.paths, trans),
        transferState(one.state, trans)
      )
    ),
    ...clusters.map(one =>
      trans.__('Cluster %1: %2', one.name || one.id, clusterState(one, trans))
    )
  ];
}
