// The form works without this file: it only filters the datasets, says what is chosen and keeps the counts fresh.
(() => {
  'use strict';
  const form = document.getElementById('spawn_form');
  if (!form || !form.querySelector('.alc-cards')) {
    return;
  }
  const REFRESH = 4000; // milliseconds
  const summary = document.getElementById('alc-summary');
  const count = document.getElementById('alc-chosen-count');
  const button = form.querySelector('[type=submit]');
  let leaving = false;

  const sayChoice = () => {
    const data = [...form.querySelectorAll('[name=datasets]:checked')].map(one => one.dataset.title);
    const machine = form.querySelector('[name=machine_type]:checked:enabled');
    if (count) {
      count.hidden = false;
      count.textContent = `${data.length} chosen · `;
    }
    button.disabled = leaving || machine === null;
    if (machine === null) {
      summary.textContent = 'No machine can be had now. The counts on this page are live: wait a little, or ask the operator.';
      return;
    }
    const what = data.length > 3 ? `${data.length} datasets` : data.join(' and ') || 'no data';
    const soon = machine.dataset.soon ? ` Ready in about ${machine.dataset.soon}.` : '';
    summary.textContent = `${machine.dataset.title} machine with ${what}.${soon}`;
  };

  const search = document.getElementById('alc-search');
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of form.querySelectorAll('.alc-data tbody tr')) {
      const text = row.dataset.words.toLowerCase();
      const fits = words.every(word => text.includes(word)) || row.querySelector(':checked') !== null;
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    document.getElementById('alc-nothing').hidden = shown > 0;
  };
  if (search) {
    search.hidden = false;
    search.addEventListener('input', filter);
    search.addEventListener('keydown', event => {
      if (event.key === 'Enter') {
        event.preventDefault(); // looking for data does not start a machine
      }
    });
  }

  const takeOver = (card, fresh) => {
    const [input, freshInput] = [card.querySelector('input'), fresh.querySelector('input')];
    card.querySelector('.alc-offer').replaceWith(document.importNode(fresh.querySelector('.alc-offer'), true));
    card.classList.toggle('alc-off', freshInput.disabled);
    input.disabled = freshInput.disabled;
    input.dataset.soon = freshInput.dataset.soon;
  };

  const refresh = async () => {
    if (document.hidden || leaving) {
      return;
    }
    try {
      const answer = await fetch(location.pathname, { headers: { Accept: 'text/html' } });
      if (!answer.ok || answer.redirected) {
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const cards = [...page.querySelectorAll('.alc-card')];
      const known = [...form.querySelectorAll('.alc-card')];
      const same = cards.map(one => one.dataset.type).join() === known.map(one => one.dataset.type).join();
      if (same) {
        known.forEach((card, index) => takeOver(card, cards[index]));
      } else {
        form.querySelector('.alc-cards').replaceWith(document.importNode(page.querySelector('.alc-cards'), true));
      }
      sayChoice();
    } catch {
      // the next turn asks again; old counts are better than an error
    }
  };

  // The Hub answers the form only when the start is well under way. Until then the stages are shown here, because a
  // warm machine is often ready before any other page could come.
  const box = document.getElementById('alc-starting');
  const stages = window.alcStages(document.getElementById('alc-stages'), document.getElementById('alc-bar'));
  const told = JSON.parse(document.getElementById('alc-form').textContent);
  const watch = tries => {
    const [, server] = location.pathname.match(/\/spawn\/[^/]+\/([^/]+)\/?$/) || [];
    const which = server ? `servers/${server}` : 'server';
    const url = `${told.api}${told.user}/${which}/progress?_xsrf=${encodeURIComponent(window.jhdata.xsrf_token)}`;
    fetch(url, { headers: { Accept: 'text/event-stream' } })
      .then(async answer => {
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        let text = '';
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
          const lines = (text + part.value).split('\n');
          text = lines.pop();
          lines.filter(line => line.startsWith('data: ')).forEach(line => stages.show(JSON.parse(line.slice(6))));
        }
      })
      .catch(() => tries > 0 && setTimeout(watch, 200, tries - 1));
  };
  const showStart = () => {
    const machine = form.querySelector('[name=machine_type]:checked');
    document.getElementById('alc-starting-title').textContent = `Starting ${machine ? machine.dataset.title : ''}`;
    form.hidden = true;
    box.hidden = false;
    setTimeout(watch, 60, 3);
  };

  form.addEventListener('change', sayChoice);
  form.addEventListener('submit', () => {
    leaving = true;
    button.disabled = true;
    setTimeout(showStart); // after the browser has read the form
  });
  window.addEventListener('pageshow', () => {
    leaving = false;
    form.hidden = false;
    box.hidden = true;
    sayChoice();
  });
  document.getElementById('alc-live').textContent = 'counts are live';
  sayChoice();
  setInterval(refresh, REFRESH);
})();
