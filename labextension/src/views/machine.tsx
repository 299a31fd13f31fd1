/** The machine: what it is, what it uses now, and how to give it back. */
import * as React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IMachine, IMachineStory, IUsed, IView } from '../tokens';
import {
  Action,
  Actions,
  Asking,
  Facts,
  Item,
  Line,
  Problem,
  Section,
  Sparkline,
  type Tone
} from './parts';
import { cores, partOf, size } from './words';

export function MachineSection(props: {
  view: IView<'machine'>;
  coresHistory: readonly number[];
  trans: TranslationBundle;
  onStop: () => void;
}): JSX.Element {
  const { view, trans } = props;
  const story = view.told;
  return (
    <Section id="machine" title={trans.__('Machine')}>
      {view.problem && <Problem problem={view.problem} />}
      {!story && !view.problem && <Asking trans={trans} />}
      {story && (
        <Item
          tone={_tone(story)}
          name={_name(story.machine, trans)}
          aside={_state(story, trans)}
        >
          <Machine {...props} story={story} />
        </Item>
      )}
    </Section>
  );
}

function Machine(props: {
  story: IMachineStory;
  view: IView<'machine'>;
  coresHistory: readonly number[];
  trans: TranslationBundle;
  onStop: () => void;
}): JSX.Element {
  const { story, trans } = props;
  const { allocation, machine, used } = story;
  const failed = allocation?.state === 'failed' ? allocation.problem : null;
  const problem = failed ?? story.problem;
  return (
    <>
      {machine && <Facts told={_given(machine, trans)} />}
      {!machine && story.words && <Line>{story.words}</Line>}
      {used && (
        <>
          <Sparkline
            values={props.coresHistory}
            top={machine?.cores ?? Math.max(1, ...props.coresHistory)}
          />
          <Used used={used} machine={machine} trans={trans} />
        </>
      )}
      {problem && <Problem problem={problem} />}
      {machine && (
        <Actions>
          <Action
            label={
              props.view.busy.includes('stop')
                ? trans.__('Stopping…')
                : trans.__('Stop my server…')
            }
            hint={trans.__(
              'Sends what is unsent to the archive and gives the machine back'
            )}
            disabled={props.view.busy.includes('stop')}
            onClick={props.onStop}
          />
        </Actions>
      )}
    </>
  );
}

function Used(props: {
  used: IUsed;
  machine: IMachine | null;
  trans: TranslationBundle;
}): JSX.Element {
  const { machine, trans, used } = props;
  return (
    <div className="jp-AlcPanel-row jp-AlcPanel-line">
      <span>{_usedCores(used, machine, trans)}</span>
      <span>{_usedMemory(used, machine, trans)}</span>
    </div>
  );
}

function _usedCores(
  used: IUsed,
  machine: IMachine | null,
  trans: TranslationBundle
): string {
  if (used.cores === null) {
    return '';
  }
  const now = used.cores.toFixed(1);
  return machine?.cores
    ? trans.__('cores %1 of %2', now, cores(machine.cores))
    : trans.__('cores %1', now);
}

function _usedMemory(
  used: IUsed,
  machine: IMachine | null,
  trans: TranslationBundle
): string {
  if (used.memory_bytes === null) {
    return '';
  }
  return machine?.memory_bytes
    ? trans.__(
        'memory %1',
        partOf(used.memory_bytes, machine.memory_bytes, trans)
      )
    : trans.__('memory %1', size(used.memory_bytes));
}

function _name(machine: IMachine | null, trans: TranslationBundle): string {
  return machine
    ? machine.title || machine.type || trans.__('Your machine')
    : trans.__('This computer');
}

function _given(machine: IMachine, trans: TranslationBundle): string[] {
  const told: string[] = [];
  if (machine.cores) {
    told.push(trans._n('%1 core', '%1 cores', machine.cores));
  }
  if (machine.memory_bytes) {
    told.push(size(machine.memory_bytes));
  }
  if (machine.isolation) {
    told.push(
      machine.isolation === 'none'
        ? trans.__('not isolated')
        : trans.__('isolated: %1', machine.isolation)
    );
  }
  return told;
}

function _state(story: IMachineStory, trans: TranslationBundle): string {
  if (story.problem) {
    return trans.__('state not known');
  }
  return story.allocation ? allocationState(story.allocation.state, trans) : '';
}

/** The state of the machine's allocation in words. */
export function allocationState(
  state: string,
  trans: TranslationBundle
): string {
  switch (state) {
    case 'queued':
      return trans.__('queued');
    case 'claimed':
      return trans.__('claimed');
    case 'mounting':
      return trans.__('mounting');
    case 'starting':
      return trans.__('starting');
    case 'ready':
      return trans.__('ready');
    case 'releasing':
      return trans.__('releasing');
    case 'released':
      return trans.__('released');
    case 'failed':
      return trans.__('failed');
    default:
      return state;
  }
}

function _tone(story: IMachineStory): Tone {
  if (story.allocation?.state === 'failed') {
    return 'bad';
  }
  if (story.problem) {
    return 'warn';
  }
  return story.allocation && story.allocation.state !== 'ready'
    ? 'moving'
    : 'good';
}
