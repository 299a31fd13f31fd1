import { LabIcon } from '@jupyterlab/ui-components';

/** Three stacked layers: machine, data, clusters. */
export const panelIcon = new LabIcon({
  name: 'jupyter-alc:panel',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M4 3h16a1 1 0 0 1 1 1v4a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zm2 2v2h2V5z"/>
    <path d="M12 11c5 0 9 1 9 2.5S17 16 12 16s-9-1-9-2.500S7 11 12 11z"/>
    <circle cx="5.500" cy="20" r="2"/><circle cx="12" cy="20" r="2"/><circle cx="18.500" cy="20" r="2"/>
  </g>
</svg>`
});

/** A scattering curve: flat at first, then falling. */
export const guinierIcon = new LabIcon({
  name: 'jupyter-alc:guinier',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <path class="jp-icon3" fill="#616161" d="M3 3h1.500v16.500H21V21H3z"/>
  <path class="jp-icon-brand0" style="fill:none" stroke="#1976d2" stroke-width="1.800" d="M5.500 6.500c5 0 6.500 1 8 5s2.500 6 6.500 6.500"/>
  <g class="jp-icon3" fill="#616161"><circle cx="7" cy="6.500" r="1.300"/><circle cx="11.300" cy="7.800" r="1.300"/><circle cx="14" cy="12.500" r="1.300"/></g>
</svg>`
});
