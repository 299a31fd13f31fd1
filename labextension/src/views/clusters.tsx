/** The clusters: their state, how long they are kept, and what can be done with them. */
import * as React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ICluster, IView } from '../tokens';
import {
  Action,
  Actions,
  Asking,
  Facts,
  Item,
  Line,
  Problem,
  Section,
  type Tone
} from './parts';
import { timeLeft } from './words';

export interface IClustersProps {
  view: IView<'clusters'>;
  trans: TranslationBundle;
  /** Now, in milliseconds since 1970. */
  now: number;
  uiOf: (id: string) => string;
  onNew: () => void;
  onStop: (id: string) => void;
}

export function ClustersSection(props: IClustersProps): JSX.Element {
  const { view, trans } = props;
  // one that ended unasked is told for a while, so that its user learns why
  const clusters = view.told?.clusters;
  const asking = view.busy.includes('start');
  const start = (
    <Action
      label={asking ? trans.__('Asking…') : trans.__('New')}
      hint={trans.__('Start a Spark cluster of your own')}
      disabled={asking || !view.told}
      onClick={props.onNew}
    />
  );
  return (
    <Section id="clusters" title={trans.__('Clusters')} action={start}>
      {view.problem && <Problem problem={view.problem} />}
      {!view.told && !view.problem && <Asking trans={trans} />}
      {clusters?.every(one => one.state === 'gone') && (
        <div className="jp-AlcPanel-item">
          <Line>
            {trans.__(
              'None runs. Start one with New, or with %piezo start in a notebook.'
            )}
          </Line>
        </div>
      )}
      {clusters?.map(cluster => (
        <ClusterItem {...props} key={cluster.id} cluster={cluster} />
      ))}
    </Section>
  );
}

function ClusterItem(
  props: IClustersProps & { cluster: ICluster }
): JSX.Element {
  const { cluster, trans } = props;
  const asked = props.view.busy.includes(`stop:${cluster.id}`);
  const stopping = asked || cluster.state === 'stopping';
  return (
    <Item
      tone={_tone(cluster)}
      name={cluster.name || cluster.id}
      hint={cluster.id}
      aside={`${framework(cluster)} · ${clusterState(cluster, trans)}`}
    >
      <Lines {...props} />
      {cluster.problem && <Problem problem={cluster.problem} />}
      {cluster.state !== 'gone' && (
        <Actions>
          {cluster.ui && cluster.state === 'ready' && (
            <a
              className="jp-AlcPanel-action"
              href={props.uiOf(cluster.id)}
              target="_blank"
              rel="noopener noreferrer"
              title={trans.__('Opens in a new tab')}
            >
              {trans.__('Spark UI')}
            </a>
          )}
          <Action
            label={stopping ? trans.__('Stopping…') : trans.__('Stop')}
            hint={trans.__('End this cluster and what runs on it')}
            disabled={stopping}
            onClick={() => props.onStop(cluster.id)}
          />
        </Actions>
      )}
    </Item>
  );
}

function Lines(props: IClustersProps & { cluster: ICluster }): JSX.Element {
  const { cluster, now, trans } = props;
  const told: string[] = [];
  if (cluster.executors && cluster.state !== 'gone') {
    const { running, wanted } = cluster.executors;
    told.push(
      trans._n('%2 of %1 executor', '%2 of %1 executors', wanted, running)
    );
  }
  const left = timeLeft(cluster.lease_until, now, trans);
  if (left && cluster.state === 'ready') {
    told.push(trans.__('lease %1, renewed while your server runs', left));
  }
  const reason = cluster.problem ? '' : cluster.reason; // a problem tells its own
  return (
    <>
      <Facts told={told} />
      {reason && <Line>{reason}</Line>}
    </>
  );
}

/** What runs in a cluster: `Spark 4.3`. */
export function framework(
  cluster: Pick<ICluster, 'framework' | 'version'>
): string {
  const { framework, version } = cluster;
  const name = framework.charAt(0).toUpperCase() + framework.slice(1);
  return `${name} ${version.split('.').slice(0, 2).join('.')}`.trim();
}

/** A cluster's state in words. */
export function clusterState(
  cluster: ICluster,
  trans: TranslationBundle
): string {
  switch (cluster.state) {
    case 'asked':
      return trans.__('asked');
    case 'starting':
      return trans.__('starting');
    case 'ready':
      return trans.__('ready');
    case 'stopping':
      return trans.__('stopping');
    case 'failed':
      return trans.__('failed');
    case 'lost':
      return trans.__('lost');
    default:
      return trans.__('gone');
  }
}

function _tone(cluster: ICluster): Tone {
  switch (cluster.state) {
    case 'ready':
      return cluster.problem ? 'warn' : 'good';
    case 'failed':
    case 'lost':
    case 'gone':
      return 'bad';
    default:
      return 'moving';
  }
}
