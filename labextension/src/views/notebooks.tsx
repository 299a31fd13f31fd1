/** What each notebook needed, what moved for it and what came from the cache; shown on demand. */
import * as React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDataDetails, INotebooks, IReader } from '../tokens';
import { figures } from './dataWords';
import { Action, Actions, Facts, Line, Problem } from './parts';

export function Notebooks(props: {
  details: IDataDetails;
  trans: TranslationBundle;
}): JSX.Element {
  const { details, trans } = props;
  const shown = details.notebooks;
  return (
    <div className="jp-AlcPanel-item">
      <Actions>
        <Action
          label={
            shown
              ? trans.__('Hide bytes per notebook')
              : trans.__('Bytes per notebook')
          }
          hint={trans.__(
            'What each notebook needed, and what moved for it, since the data service began'
          )}
          expanded={shown !== undefined}
          onClick={() =>
            shown ? details.hideNotebooks() : void details.showNotebooks()
          }
        />
      </Actions>
      {shown?.problem && <Problem problem={shown.problem} />}
      {shown && !shown.told && !shown.problem && (
        <Line>{trans.__('Asking…')}</Line>
      )}
      {shown?.told && <Readers told={shown.told} trans={trans} />}
    </div>
  );
}

function Readers(props: {
  told: INotebooks;
  trans: TranslationBundle;
}): JSX.Element {
  const { told, trans } = props;
  const readers = [...told.notebooks, ...told.others];
  if (readers.length === 0) {
    return <Line>{trans.__('Nobody has read any data yet.')}</Line>;
  }
  return (
    <ul className="jp-AlcPanel-readers">
      {readers.map(one => (
        <li key={one.path ?? `:${one.name}`}>
          <div className="jp-AlcPanel-path" title={one.path}>
            {_name(one)}
          </div>
          <Facts
            told={figures(
              one.needed_bytes,
              one.moved_bytes,
              one.cached_bytes,
              trans
            )}
          />
        </li>
      ))}
    </ul>
  );
}

/** A notebook by its file's name; its folders are the hint. */
function _name(reader: IReader): string {
  return reader.path?.split('/').pop() ?? reader.name ?? '';
}
