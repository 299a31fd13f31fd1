import { describe, expect, it } from 'vitest';
import { whatStoppingDoes } from '../views/words';
import { english } from './english';
import { DATA, SANS } from './stories';

const GONE = { code: 'unavailable', message: 'No answer.', next_step: '' };
const SAFE = 'All results are in the archive';

describe('what is said before the server is stopped', () => {
  it('tells how many files still have to go to the archive', () => {
    const view = { told: DATA, problem: null, busy: [] };
    expect(whatStoppingDoes(view, english)).toContain('2 unsent files');
  });

  it('says that all is in the archive only when that was answered just now', () => {
    const told = { datasets: [SANS], unsent: [] };
    const view = { told, problem: null, busy: [] };
    expect(whatStoppingDoes(view, english)).toContain(SAFE);
    for (const unknown of [
      { ...view, told: null },
      { ...view, problem: GONE }
    ]) {
      expect(whatStoppingDoes(unknown, english)).not.toContain(SAFE);
      expect(whatStoppingDoes(unknown, english)).toContain('unsent');
    }
  });
});
