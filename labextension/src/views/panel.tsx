/** The three sections, and what a screen reader is told when a state changes. */
import * as React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IAlcModel } from '../tokens';
import { clusterState, ClustersSection } from './clusters';
import { DataSection, datasetState } from './data';
import { MachineSection } from './machine';

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
  return (
    <>
      <MachineSection
        view={model.machine}
        coresHistory={model.coresHistory}
        trans={trans}
        onStop={() => place.stopServer()}
      />
      <DataSection
        view={model.data}
        trans={trans}
        onSend={() => void model.sendNow()}
        onOpen={dataset => place.openDataset(dataset)}
      />
      <ClustersSection
        view={model.clusters}
        trans={trans}
        now={now}
        uiOf={id => model.clusterUi(id)}
        onNew={() => void model.startCluster()}
        onStop={id => void model.stopCluster(id)}
      />
      <div className="jp-AlcPanel-spoken" role="status" aria-live="polite">
        {spoken(model, trans).map(words => (
          <div key={words}>{words}</div>
        ))}
      </div>
    </>
  );
}

/** The states in words, one line each, without figures that run. */
export function spoken(model: IAlcModel, trans: TranslationBundle): string[] {
  const datasets = model.data.told?.datasets ?? [];
  const clusters = model.clusters.told?.clusters ?? [];
  return [
    ...datasets.map(one =>
      trans.__('Dataset %1: %2', one.id, datasetState(one, trans))
    ),
    ...clusters.map(one =>
      trans.__('Cluster %1: %2', one.name || one.id, clusterState(one, trans))
    )
  ];
}
