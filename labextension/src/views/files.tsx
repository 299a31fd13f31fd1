/** A folder of a dataset, each file with where its bytes are. */
import * as React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IFile, IShownFolder } from '../tokens';
import { fileState } from './dataWords';
import { Action, Line, Problem } from './parts';
import { size } from './words';

export function Files(props: {
  folder: IShownFolder;
  trans: TranslationBundle;
  onShow: (path: string) => void;
  onRefresh: () => void;
}): JSX.Element {
  const { folder, trans } = props;
  const { path, problem, refreshing, told } = folder;
  const above = path.split('/').slice(0, -1).join('/');
  return (
    <div
      className="jp-AlcPanel-files"
      role="group"
      aria-label={trans.__('Files of %1', path)}
    >
      <div className="jp-AlcPanel-row">
        <span className="jp-AlcPanel-path">{path}</span>
        {above && (
          <Action
            label={trans.__('Up')}
            hint={trans.__('Show %1', above)}
            onClick={() => props.onShow(above)}
          />
        )}
        <Action
          label={refreshing ? trans.__('Asking…') : trans.__('Refresh')}
          about={path}
          hint={trans.__('Ask the archive for %1 now', path)}
          disabled={refreshing}
          onClick={props.onRefresh}
        />
      </div>
      {problem && <Problem problem={problem} />}
      {!told && !problem && <Line>{trans.__('Asking…')}</Line>}
      {told?.entries.length === 0 && <Line>{trans.__('Nothing here.')}</Line>}
      {told && told.entries.length > 0 && (
        <table>
          <thead className="jp-AlcPanel-spoken">
            <tr>
              <th scope="col">{trans.__('name')}</th>
              <th scope="col">{trans.__('size')}</th>
              <th scope="col">{trans.__('state')}</th>
            </tr>
          </thead>
          <tbody>
            {told.entries.map(file => (
              <FileRow
                key={file.name}
                file={file}
                trans={trans}
                onShow={() => props.onShow(`${path}/${file.name}`)}
              />
            ))}
          </tbody>
        </table>
      )}
      {typeof told?.next === 'string' && (
        <Line>{trans.__('There is more: %dms ls tells it.')}</Line>
      )}
    </div>
  );
}

function FileRow(props: {
  file: IFile;
  trans: TranslationBundle;
  onShow: () => void;
}): JSX.Element {
  const { file, trans } = props;
  const folder = file.type === 'directory';
  return (
    <tr>
      <td>
        {folder ? (
          <Action
            label={`${file.name}/`}
            hint={trans.__('Show what is in it')}
            onClick={props.onShow}
          />
        ) : (
          file.name
        )}
        {file.target && (
          <span className="jp-AlcPanel-path"> → {file.target}</span>
        )}
      </td>
      <td>{folder ? '' : size(file.size ?? 0)}</td>
      <td>{fileState(file, trans)}</td>
    </tr>
  );
}
