import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { describe, expect, it, onTestFinished } from 'vitest';
import { sealReply } from '../../../src/wechat/push/envelope.ts';
import { nodeArguments } from '../../kit/service.ts';
import { startReceiver, open, until } from './harness.ts';

interface Run {
  child: ChildProcessWithoutNullStreams;
  output: () => string;
  errors: () => string;
  exitCode: Promise<number | null>;
}

/** The command as a process of its own. */
function run(...flags: string[]): Run {
  const child = spawn(process.execPath, [...nodeArguments('commands/simulator'), ...flags]);
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const exitCode = new Promise<number | null>((resolve) => child.on('close', resolve));
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, output: () => output, errors: () => errors, exitCode };
}

describe('the simulator command', () => {
  it('explains itself, control API included', async () => {
    const { output, exitCode } = run('--help');
    expect(await exitCode).toBe(0);
    expect(output()).toContain('--divide-times-by');
    expect(output()).toContain('curl $S/state');
    for (const route of [
      ...['authorize', 'unauthorize', 'grant', 'push-authorized', 'push-unauthorized', 'populate'],
      ...['authorization', 'mint-elsewhere', 'date', 'push-message', 'say'],
    ]) {
      expect(output()).toMatch(new RegExp(`curl -d '.+' \\$S/${route}\\s`));
    }
  });

  it.each([
    [['--nonsense'], /--nonsense/],
    [['positional'], /positional/],
    [['--port', 'abc'], /--port must be a number, not "abc"/],
    [['--port='], /--port must be a number/],
    [['--speed', '0'], /--speed/],
    [['--hosts', '99'], /hosts/],
    [['--authorizers', '1.5'], /--authorizers must be a whole number/],
    [['--account-overlap=-1'], /accountOverlapSeconds/],
    [['--account', 'wx5ca1ab1e0ddba11a'], /twice/],
    [['--aes-key', 'short'], /43 letters and digits/],
    [['--callback', 'nowhere'], /callback URL/],
    [['--message-callback', 'nowhere'], /callback URL/],
    [['--format', 'yaml'], /--format must be xml or json, not "yaml"/],
    [['--host', '0.0.0.0'], /allow-?remote/i],
  ])('refuses %j with exit code 64', async (flags, message) => {
    const { errors, output, exitCode } = run(...flags);
    expect(await exitCode).toBe(64);
    expect(errors()).toMatch(message);
    expect(errors()).toContain('--help');
    expect(output()).toBe('');
  });

  it('prints the settings of the service, pushes tickets, and stops on SIGINT', async () => {
    const receiver = await startReceiver();
    const simulator = run(
      '--port',
      '0',
      '--hosts',
      '2',
      '--callback',
      receiver.url,
      '--authorizers',
      '3',
    );
    await until(() => simulator.output().includes('success after'));
    const output = simulator.output();
    const setting = (name: string): string =>
      new RegExp(`^${name}=(.*)$`, 'm').exec(output)?.[1] ?? '';
    const urls = setting('WECHAT_API_BASE_URLS').split(',');
    expect(urls).toHaveLength(2);
    expect(setting('COMPONENT_APPID')).toMatch(/^wx[0-9a-f]{16}$/);
    const [push] = receiver.pushes;
    expect(push?.body).toContain(setting('COMPONENT_APPID'));
    const secrets = {
      token: setting('COMPONENT_TOKEN'),
      encodingAesKey: setting('COMPONENT_ENCODING_AES_KEY'),
    };
    // It decrypts, and only then finds the appid to be another than that of these tests.
    expect(() => open(push as never, secrets)).toThrow('another appid');

    await fetch(`${urls[0] ?? ''}/cgi-bin/component/api_component_token`, { method: 'POST' });
    await until(() => simulator.output().includes('call  api_'));
    expect(simulator.output()).toMatch(/call {2}api_component_token on host 0: errcode 44002/);
    expect(simulator.output()).not.toContain('ticket@@@');

    const { accounts } = JSON.parse(/^\{"accounts".+$/m.exec(output)?.[0] ?? '') as {
      accounts: { appid: string; appsecret: string }[];
    };
    const [{ appid, appsecret } = { appid: '', appsecret: '' }] = accounts;
    const query = `grant_type=client_credential&appid=${appid}&secret=${appsecret}`;
    const answer = await fetch(`${urls[1] ?? ''}/cgi-bin/token?${query}`);
    expect(await answer.json()).toMatchObject({ expires_in: 7200 });

    const state = await fetch(`${urls[0] ?? ''}/_simulator/state`);
    expect(await state.json()).toMatchObject({ authorizationCount: 3 });

    simulator.child.kill('SIGINT');
    expect(await simulator.exitCode).toBe(0);
    expect(simulator.errors()).toBe('');
  });

  it('says of a message what its user sees', async () => {
    const receiver = await startReceiver();
    const simulator = run('--port', '0', '--no-push', '--callback', receiver.url);
    await until(() => simulator.output().includes('Ctrl-C'));
    const setting = (name: string) =>
      new RegExp(`^${name}=(.*)$`, 'm').exec(simulator.output())?.[1] ?? '';
    const secrets = {
      componentAppid: setting('COMPONENT_APPID'),
      token: setting('COMPONENT_TOKEN'),
      encodingAesKey: setting('COMPONENT_ENCODING_AES_KEY'),
    };
    const url = `${setting('WECHAT_API_BASE_URLS')}/_simulator/push-message`;
    const lines = () => simulator.output().match(/(?<= {2}message {2}).*/g) ?? [];
    const answer = async (body: string, status = 200) => {
      receiver.reply = { status, body };
      const fields = { ToUserName: 'gh_1', FromUserName: 'o1', MsgType: 'text', Content: 'hi' };
      const before = lines().length;
      await fetch(url, {
        method: 'POST',
        body: JSON.stringify({ authorizer: 'wx1', fields }),
      });
      await until(() => lines().length > before);
      return lines().at(-1);
    };
    const reply = (content: string) =>
      sealReply(secrets, 'xml', {
        reply: `<xml><ToUserName>o1</ToUserName><FromUserName>gh_1</FromUserName>${content}</xml>`,
        timestamp: 1772352000,
        nonce: 'n',
      });
    const text = '<MsgType>text</MsgType><Content>You wrote: hi</Content>';
    const picture = '<MsgType>image</MsgType><Image><MediaId>m</MediaId></Image>';
    const service = '<MsgType>transfer_customer_service</MsgType>';
    expect(await answer(reply(text))).toMatch(
      /^text: the user sees text "You wrote: hi" after \d+ ms$/,
    );
    expect(await answer(reply(picture))).toMatch(
      /^text: the user sees image \{"Image":\{"MediaId":"m"\}\} after \d+ ms$/,
    );
    expect(await answer(reply(service))).toMatch(/the user is handed to customer service after/);
    expect(await answer('success')).toMatch(/^text: the user sees nothing after \d+ ms$/);
    expect(await answer('success', 500)).toMatch(
      /^text: the user would see "该公众号提供的服务出现故障.*" after \d+ ms: .*status 500, not 200$/,
    );
  });
});
