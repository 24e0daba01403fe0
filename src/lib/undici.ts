/** Under names of its own: a bundler gives whoever imports a package of the older form later only a default. */
export { Agent, buildConnector, Pool, ProxyAgent, request } from 'undici';
