// The progress page: stages with their times, from the Hub's event stream.
(() => {
  'use strict';
  const told = JSON.parse(document.getElementById('alc-progress').textContent);
  const stages = window.alcStages(document.getElementById('alc-stages'), document.getElementById('progress-bar'));
  const message = document.getElementById('progress-message');
  const cancel = document.getElementById('alc-cancel');
  const said = document.getElementById('alc-cancel-said');
  let cancelled = false;

  const failed = () => {
    stages.fail();
    message.setAttribute('role', 'alert');
    message.className = 'alc-said alc-no';
    const heading = document.getElementById('alc-heading');
    heading.textContent = document.title = heading.dataset.failed;
    document.getElementById('alc-lead').hidden = true;
    cancel.textContent = 'Back to my servers';
    cancel.onclick = () => location.assign(told.home);
  };

  const source = new EventSource(told.events);
  source.onmessage = event => {
    const news = JSON.parse(event.data);
    if (cancelled) {
      return;
    }
    stages.show(news);
    if (news.message) {
      message.textContent = news.message.replace(/^Spawn failed: /, '');
    }
    if (news.ready || news.failed) {
      source.close();
    }
    if (news.ready) {
      location.reload(); // the Hub leads on to the server
    }
    if (news.failed) {
      failed();
    }
  };

  cancel.onclick = async () => {
    cancelled = true;
    stages.stop();
    cancel.disabled = true;
    said.textContent = 'Cancelling: the machine is given back.';
    try {
      const answer = await fetch(told.server, { method: 'DELETE', headers: { 'X-XSRFToken': window.jhdata.xsrf_token } });
      if (!answer.ok) {
        throw new Error(String(answer.status));
      }
      location.assign(told.home);
    } catch {
      cancelled = false;
      cancel.disabled = false;
      said.textContent = 'The Hub did not cancel it. Try again in a moment.';
    }
  };
  window._jupyterhub_page_loaded = true; // the Hub's own pages say so too
})();
