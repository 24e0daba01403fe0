import { ask } from './ask.ts';
import type { ShapeServer } from './server.ts';

/** A line of CLUSTER NODES. */
export interface ClusterNode {
  id: string;
  port: number;
  busPort: number;
  flags: string[];
  isMaster: boolean;
  /** Of a replica. */
  masterId: string | undefined;
  isLinked: boolean;
  /** First and last slot of each range. */
  ranges: [number, number][];
}

/** Of the cluster, as this server sees it. */
export async function seenBy(server: ShapeServer): Promise<ClusterNode[]> {
  const text = String(await ask(server, 'CLUSTER', 'NODES'));
  return text.trim().split('\n').map(nodeFrom);
}

/** As the first that answers sees them; one that was just started may be behind. */
export async function nodesOf(
  servers: readonly ShapeServer[],
): Promise<(ClusterNode & { server: ShapeServer })[]> {
  const nodes = await Promise.any(servers.map(seenBy));
  return nodes.flatMap((node) => {
    const server = servers.find(({ port }) => port === node.port);
    return server ? [{ ...node, server }] : [];
  });
}

/** `ID IP:PORT@BUSPORT FLAGS MASTER PING PONG EPOCH LINK SLOTS…`; slots under way are in brackets. */
function nodeFrom(line: string): ClusterNode {
  const [id = '', address = '', flags = '', master = '', , , , link = '', ...slots] =
    line.split(' ');
  const [, port, busPort] = /:(\d+)@(\d+)/.exec(address) ?? [];
  const ranges = slots
    .filter((one) => !one.startsWith('['))
    .map((one) => one.split('-').map(Number));
  return {
    id,
    port: Number(port),
    busPort: Number(busPort),
    flags: flags.split(','),
    isMaster: flags.includes('master'),
    masterId: master === '-' ? undefined : master,
    isLinked: link === 'connected',
    ranges: ranges.map(([from = 0, to = from]) => [from, to]),
  };
}
