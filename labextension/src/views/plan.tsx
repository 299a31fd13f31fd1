/** What fetching all of a dataset would mean, before it is begun. */
import * as React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IAsked, IPlan } from '../tokens';
import { planWords } from './dataWords';
import { Action, Actions, Facts, Line, Problem } from './parts';
import { size } from './words';

export function Plan(props: {
  plan: IAsked<IPlan>;
  busy: boolean;
  trans: TranslationBundle;
  onFetch: () => void;
  onDrop: () => void;
}): JSX.Element {
  const { plan, trans } = props;
  const { problem, told } = plan;
  return (
    <div
      className="jp-AlcPanel-plan"
      role="group"
      aria-label={trans.__('Before you fetch')}
    >
      <div role="status">
        {problem && <Problem problem={problem} />}
        {told && <Facts told={planWords(told, trans)} />}
        {!told && !problem && <Line>{trans.__('Asking…')}</Line>}
      </div>
      <Actions>
        {told && told.move_bytes > 0 && (
          <Action
            label={
              props.busy
                ? trans.__('Asking…')
                : trans.__('Fetch %1', size(told.move_bytes))
            }
            disabled={props.busy}
            onClick={props.onFetch}
          />
        )}
        <Action label={trans.__('Close')} onClick={props.onDrop} />
      </Actions>
    </div>
  );
}
