import { describe, expect, it } from 'vitest';
import { Client, RestError, type Send } from '../client';
import { english } from './english';
import { CLUSTER, MACHINE } from './stories';

interface ISent {
  path: string;
  init: RequestInit;
}

function answering(
  status: number,
  body: unknown
): { client: Client; sent: ISent[] } {
  const sent: ISent[] = [];
  const send: Send = (path, init) => {
    sent.push({ path, init });
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return Promise.resolve(new Response(text, { status }));
  };
  return { client: new Client(send, 'http://host/user/ada/', english), sent };
}

async function refusal(asked: Promise<unknown>): Promise<RestError> {
  try {
    await asked;
  } catch (error) {
    if (error instanceof RestError) {
      return error;
    }
  }
  throw new Error('was not refused');
}

describe('Client', () => {
  it('asks in the background, so that an open panel keeps no server alive', async () => {
    const { client, sent } = answering(200, MACHINE);
    expect(await client.ask('machine')).toEqual(MACHINE);
    expect(sent).toEqual([
      {
        path: 'jupyter-alc/v1/machine?no_track_activity=1',
        init: { method: 'GET', headers: { Accept: 'application/json' } }
      }
    ]);
  });

  it('counts what the user does as activity', async () => {
    const { client, sent } = answering(202, CLUSTER);
    await client.startCluster();
    await client.stopCluster('c-1');
    await client.flush();
    await client.stopMachine();
    expect(sent.map(one => `${one.init.method} ${one.path}`)).toEqual([
      'POST jupyter-alc/v1/piezo/clusters',
      'DELETE jupyter-alc/v1/piezo/clusters/c-1',
      'POST jupyter-alc/v1/data/flush',
      'DELETE jupyter-alc/v1/machine'
    ]);
  });

  it('plans, fetches, cancels, resumes, mounts and unmounts at their addresses', async () => {
    const { client, sent } = answering(200, { entries: [] });
    await client.plan('raw/run 1');
    await client.fetch('raw');
    await client.cancelTransfer('t-1');
    await client.resumeTransfer('t-1');
    await client.mount('raw');
    await client.unmount('raw');
    await client.files('raw/a&b');
    await client.notebooks();
    expect(sent.map(one => `${one.init.method} ${one.path}`)).toEqual([
      'GET jupyter-alc/v1/data/plan?path=raw%2Frun+1',
      'POST jupyter-alc/v1/data/transfers',
      'DELETE jupyter-alc/v1/data/transfers/t-1',
      'POST jupyter-alc/v1/data/transfers/t-1/resume',
      'POST jupyter-alc/v1/data/mounts',
      'DELETE jupyter-alc/v1/data/mounts/raw',
      'GET jupyter-alc/v1/data/files?path=raw%2Fa%26b&limit=200&no_track_activity=1',
      'GET jupyter-alc/v1/data/notebooks?no_track_activity=1'
    ]);
    expect(sent[1].init.body).toBe('{"paths":["raw"]}');
  });

  it("passes the server's own words on", async () => {
    const problem = {
      code: 'archive_unreachable',
      message: 'The archive does not answer.',
      next_step: 'Wait.'
    };
    const { client } = answering(503, problem);
    const error = await refusal(client.ask('data'));
    expect(error.problem).toEqual(problem);
    expect(error.status).toBe(503);
  });

  it.each([
    [404, 'not_installed'],
    [403, 'denied'],
    [503, 'no_answer'],
    [424, 'not_running'],
    [500, 'odd_answer']
  ])('says what a bare %i means and what to do', async (status, code) => {
    const { client } = answering(status, '<html>');
    const { problem } = await refusal(client.ask('data'));
    expect(problem.code).toBe(code);
    expect(problem.next_step).not.toBe('');
  });

  it('does not take a page for an answer', async () => {
    const { client } = answering(200, '<html>log in</html>');
    expect((await refusal(client.ask('data'))).problem.code).toBe('odd_answer');
  });

  it('says so when nobody answers', async () => {
    const client = new Client(
      () => Promise.reject(new TypeError('Failed to fetch')),
      '/',
      english
    );
    const error = await refusal(client.ask('clusters'));
    expect([error.status, error.problem.code]).toEqual([0, 'no_answer']);
  });

  it("opens the Spark UI below the user's own server", () => {
    const { client } = answering(200, {});
    expect(client.clusterUi('c-1')).toBe(
      'http://host/user/ada/jupyter-alc/v1/piezo/clusters/c-1/ui/jobs/'
    );
  });

  it('gives the path of an example', async () => {
    const { client, sent } = answering(200, { path: 'sans_guinier.ipynb' });
    expect(await client.example('sans_guinier')).toBe('sans_guinier.ipynb');
    expect(sent[0].path).toBe('jupyter-alc/v1/examples/sans_guinier');
  });
});
