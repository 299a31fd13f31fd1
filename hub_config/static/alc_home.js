// Stop from the Hub's page: ask once, then let the page tell how far it is.
(() => {
  'use strict';
  const stop = document.getElementById('stop');
  const open = document.getElementById('start');
  const said = document.getElementById('alc-state');
  window._jupyterhub_page_loaded = true; // the Hub's own pages say so too
  if (!stop) {
    return;
  }
  stop.onclick = async () => {
    stop.disabled = true;
    open.classList.add('disabled');
    said.textContent = 'Stopping: unsent results go to the archive first.';
    try {
      const answer = await fetch(stop.dataset.url, { method: 'DELETE', headers: { 'X-XSRFToken': window.jhdata.xsrf_token } });
      if (!answer.ok && answer.status !== 404) {
        throw new Error(String(answer.status));
      }
      location.reload();
    } catch {
      stop.disabled = false;
      open.classList.remove('disabled');
      said.textContent = 'The Hub did not stop it. Try again in a moment.';
    }
  };
})();
