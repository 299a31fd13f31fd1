// The stages of a start as a list, with running times; used by the form while its answer is on the way, and by the
// progress page. Texts are set as text, never as markup.
window.alcStages = (list, bar) => {
  'use strict';
  let running = null; // {time, since, seconds, usual}

  const seconds = value => {
    if (value < 0.05) {
      return '< 0.1 s';
    }
    return value < 10 ? `${value.toFixed(1)} s` : value < 120 ? `${value.toFixed(0)} s` : `${(value / 60).toFixed(0)} min`;
  };
  const known = value => value !== null && value !== undefined;
  const took = (value, usual, state) => {
    const done = state === 'done' || state === 'lacking';
    const often = known(usual) ? `usually ${seconds(usual)}` : '';
    if (!known(value)) {
      return done ? '' : often;
    }
    const late = known(usual) && value > Math.max(1, 2 * usual);
    return done && !late ? seconds(value) : [seconds(value), often].filter(Boolean).join(', ');
  };
  const element = (tag, name, text) => {
    const made = document.createElement(tag);
    made.className = name;
    made.textContent = text;
    return made;
  };
  const row = stage => {
    const made = element('li', `alc-stage alc-stage-${stage.state}`, '');
    made.dataset.name = stage.name;
    const mark = element('span', 'alc-mark', '');
    mark.setAttribute('aria-hidden', 'true');
    const words = element('span', 'alc-words', stage.words);
    words.append(element('span', 'visually-hidden', ` (${stage.state})`));
    const time = element('span', 'alc-took', took(stage.seconds, stage.usual_seconds, stage.state));
    made.append(mark, words, time);
    if (stage.state === 'now') {
      running = { time, since: performance.now(), seconds: stage.seconds || 0, usual: stage.usual_seconds };
    }
    return made;
  };

  setInterval(() => {
    if (running) {
      running.time.textContent = took(running.seconds + (performance.now() - running.since) / 1000, running.usual, 'now');
    }
  }, 100);

  return {
    show(event) {
      if (event.stages) {
        running = null;
        list.replaceChildren(...event.stages.map(row));
      }
      if (known(event.progress)) {
        bar.style.width = `${event.progress}%`;
        bar.parentElement.setAttribute('aria-valuenow', event.progress);
      }
    },
    stop() {
      running = null;
    },
    fail() {
      running = null;
      bar.classList.add('bg-danger');
      for (const one of list.querySelectorAll('.alc-stage-now')) {
        one.className = 'alc-stage alc-stage-failed';
      }
    }
  };
};
