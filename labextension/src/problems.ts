/** What we say where the server itself could not say it. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IProblem } from './tokens';

export type Problems = ReturnType<typeof problems>;

export function problems(trans: TranslationBundle) {
  return {
    noAnswer: {
      code: 'no_answer',
      message: trans.__('Your Jupyter server does not answer.'),
      next_step: trans.__(
        'Look at your connection; the panel asks again by itself. If your server was stopped, start it from the Hub.'
      )
    },
    notRunning: {
      code: 'not_running',
      message: trans.__('Your server is not running.'),
      next_step: trans.__(
        "Start a machine on the Hub's page. Your home is kept; unsent results go to the archive first."
      )
    },
    notInstalled: {
      code: 'not_installed',
      message: trans.__('The server half of jupyter-alc is not running here.'),
      next_step: trans.__(
        'Install jupyter-alc where this Jupyter server runs, and start the server again.'
      )
    },
    notAllowed: {
      code: 'denied',
      message: trans.__('Your login here is no longer valid.'),
      next_step: trans.__('Load the page again and log in.')
    },
    oddAnswer: {
      code: 'odd_answer',
      message: trans.__('Your Jupyter server answered something unexpected.'),
      next_step: trans.__(
        'Try again in a moment; if it stays so, the reason stands in the log of the Jupyter server.'
      )
    },
    internal: {
      code: 'internal',
      message: trans.__('Something went wrong in the panel.'),
      next_step: trans.__('Load the page again.')
    }
  } satisfies Record<string, IProblem>;
}
