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

  const alone = title => `\u2068${title}\u2069`; // a title from right to left leaves the words around it in order

  const sayChoice = () => {
    const data = [...form.querySelectorAll('[name=datasets]:checked')].map(one => alone(one.dataset.title));
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
    summary.textContent = `${alone(machine.dataset.title)} machine with ${what}.${soon}`;
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
    const words = [...fresh.children].filter(one => one !== freshInput);
    card.replaceChildren(input, ...words.map(one => document.importNode(one, true)));
    card.classList.toggle('alc-off', freshInput.disabled);
    input.disabled = freshInput.disabled;
    input.dataset.soon = freshInput.dataset.soon;
  };

  const refresh = async () => {
    if (document.hidden || leaving) {
      return;
    }
    try {
      const answer = await fetch(location.pathname, { headers: { Accept: 'text/html' }, redirect: 'manual' });
      if (answer.type === 'opaqueredirect' && !leaving) {
        location.reload(); // a machine was started elsewhere, or the login is over: the Hub leads on
      }
      if (!answer.ok) {
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
  const [, server] = location.pathname.match(/\/spawn\/[^/]+\/([^/]+)\/?$/) || [];

  const watch = async tries => {
    const which = server ? `servers/${server}` : 'server';
    const url = `${told.hub}api/users/${told.user}/${which}/progress?_xsrf=${encodeURIComponent(window.jhdata.xsrf_token)}`;
    const source = new EventSource(url);
    source.onmessage = event => {
      const news = JSON.parse(event.data);
      stages.show(news);
      if (news.ready || news.failed) {
        source.close();
      }
    };
    source.onerror = () => {
      source.close(); // asked before the Hub had begun
      if (tries > 0 && leaving) {
        setTimeout(watch, 200, tries - 1);
      }
    };
  };

  const main = form.closest('main');
  const heading = main.querySelector('h1');
  const lead = main.querySelector('.alc-lead');
  const [title, words] = [heading.textContent, lead.textContent];
  const show = (starting, told = title) => {
    leaving = starting;
    heading.textContent = told;
    lead.textContent = starting ? 'This page takes you there when your machine is ready.' : words;
    main.classList.toggle('alc-narrow', starting);
    form.hidden = starting;
    box.hidden = !starting;
    for (const old of document.querySelectorAll('.spawn-error-msg')) {
      old.remove();
    }
    sayChoice();
  };
  const refuse = text => {
    show(false);
    const said = document.createElement('p');
    said.className = 'spawn-error-msg alert alert-danger';
    said.setAttribute('role', 'alert');
    said.textContent = text;
    form.before(said);
    said.scrollIntoView({ block: 'center' });
  };

  form.addEventListener('change', sayChoice);
  form.addEventListener('submit', async event => {
    event.preventDefault();
    const choice = new FormData(form);
    const machine = form.querySelector('[name=machine_type]:checked');
    show(true, `Starting ${machine ? alone(machine.dataset.title) : ''}`);
    setTimeout(watch, 60, 5);
    try {
      const answer = await fetch(form.action, { method: 'POST', body: choice, redirect: 'manual' });
      if (answer.type === 'opaqueredirect') {
        location.assign(`${told.hub}spawn-pending/${told.user}${server ? `/${server}` : ''}${location.search}`);
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const reason = page.querySelector('.spawn-error-msg');
      refuse(reason ? reason.textContent.trim() : `The Hub answered ${answer.status}. Try again, or tell the operator.`);
    } catch {
      refuse('The Hub does not answer. Try again in a moment; nothing was started twice.');
    }
  });
  window.addEventListener('pageshow', event => {
    if (event.persisted) {
      show(false); // come back to by the browser's own Back
    }
  });
  document.getElementById('alc-live').textContent = 'counts are live';
  sayChoice();
  setInterval(refresh, REFRESH);
})();
