// The progress page: stages with their times, from the Hub's event stream. Texts are set as text, never as markup.
(() => {
  'use strict';
  const told = JSON.parse(document.getElementById('alc-progress').textContent);
  const list = document.getElementById('alc-stages');
  const message = document.getElementById('progress-message');
  const cancel = document.getElementById('alc-cancel');
  const said = document.getElementById('alc-cancel-said');
  let running = null; // {element, since, seconds, usual}
  let cancelled = false;

  const seconds = value => (value > 0 && value < 0.05 ? '< 0.1 s' : value < 10 ? `${value.toFixed(1)} s` : value < 120 ? `${value.toFixed(0)} s` : `${(value / 60).toFixed(0)} min`);
  const took = (value, usual, state) => {
    const often = usual === null || usual === undefined ? '' : `usually ${seconds(usual)}`;
    if (value === null || value === undefined) {
      return state === 'done' ? '' : often;
    }
    const late = usual !== null && usual !== undefined && value > Math.max(1, 2 * usual);
    return state === 'done' && !late ? seconds(value) : [seconds(value), often].filter(Boolean).join(', ');
  };

  const element = (tag, name, text) => {
    const made = document.createElement(tag);
    made.className = name;
    made.textContent = text;
    return made;
  };

  const show = stages => {
    running = null;
    list.replaceChildren(
      ...stages.map(stage => {
        const row = element('li', `alc-stage alc-stage-${stage.state}`, '');
        row.dataset.name = stage.name;
        const mark = element('span', 'alc-mark', '');
        mark.setAttribute('aria-hidden', 'true');
        const words = element('span', 'alc-words', stage.words);
        words.append(element('span', 'visually-hidden', ` (${stage.state})`));
        const time = element('span', 'alc-took', took(stage.seconds, stage.usual_seconds, stage.state));
        row.append(mark, words, time);
        if (stage.state === 'now') {
          running = { time, since: performance.now(), seconds: stage.seconds || 0, usual: stage.usual_seconds };
        }
        return row;
      })
    );
  };

  setInterval(() => {
    if (running && !cancelled) {
      running.time.textContent = took(running.seconds + (performance.now() - running.since) / 1000, running.usual, 'now');
    }
  }, 200);

  const source = new EventSource(told.events);
  source.onmessage = event => {
    const news = JSON.parse(event.data);
    if (news.progress !== undefined) {
      document.getElementById('progress-bar').style.width = `${news.progress}%`;
      document.getElementById('progress-bar-outer').setAttribute('aria-valuenow', news.progress);
    }
    if (news.stages) {
      show(news.stages);
    }
    if (news.message && !cancelled) {
      message.textContent = news.message.replace(/^Spawn failed: /, '');
    }
    if (news.ready) {
      source.close();
      location.reload(); // the Hub leads on to the server
    }
    if (news.failed) {
      source.close();
      running = null;
      document.getElementById('progress-bar').classList.add('bg-danger');
      message.setAttribute('role', 'alert');
      message.className = 'alc-said alc-no';
      const heading = document.getElementById('alc-heading');
      heading.textContent = document.title = heading.dataset.failed;
      document.getElementById('alc-lead').hidden = true;
      for (const row of list.querySelectorAll('.alc-stage-now')) {
        row.className = 'alc-stage alc-stage-failed';
      }
      cancel.textContent = 'Back to my servers';
      cancel.onclick = () => location.assign(told.home);
    }
  };

  cancel.onclick = async () => {
    cancelled = true;
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
