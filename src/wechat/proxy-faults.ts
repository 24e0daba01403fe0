import type { Text } from '../lib/language.ts';
import type { ProxyFault } from '../lib/tunnel.ts';

/** The words for a call that failed at the proxy on its way: nothing of it has reached WeChat. */

export interface Explanation {
  meaning: Text;
  /** What a person can do about it. */
  advice: Text;
}

export const PROXY_FAULTS: Readonly<Record<ProxyFault, Explanation>> = {
  proxy_unreachable: {
    meaning: {
      en: 'no connection to the proxy of HTTPS_PROXY',
      zh: '连接不上 HTTPS_PROXY 指定的代理',
    },
    advice: {
      en: 'Check that the proxy runs, its host and port in HTTPS_PROXY, and DNS and firewall up to it.',
      zh: '检查代理是否在运行、HTTPS_PROXY 里的主机和端口，以及本机到代理的 DNS 和防火墙。',
    },
  },
  proxy_timeout: {
    meaning: {
      en: 'the proxy of HTTPS_PROXY does not answer in time',
      zh: 'HTTPS_PROXY 指定的代理超时未应答',
    },
    advice: {
      en: 'It is tried again. If it stays, look at the proxy, and whether it reaches WeChat itself.',
      zh: '会自动重试。若持续出现，检查代理，以及代理能否连上微信。',
    },
  },
  proxy_login: {
    meaning: {
      en: 'the proxy of HTTPS_PROXY refuses the user and password (407)',
      zh: 'HTTPS_PROXY 指定的代理不认用户名和密码（407）',
    },
    advice: {
      en: 'Put the user and password of the proxy into HTTPS_PROXY, special characters percent-encoded.',
      zh: '把代理的用户名和密码写进 HTTPS_PROXY，特殊字符用百分号编码。',
    },
  },
  proxy_refused: {
    meaning: {
      en: 'the proxy of HTTPS_PROXY does not let through to WeChat',
      zh: 'HTTPS_PROXY 指定的代理不放行到微信的连接',
    },
    advice: {
      en: 'Let the proxy allow CONNECT from this server to api.weixin.qq.com, port 443.',
      zh: '让代理允许本机用 CONNECT 连接 api.weixin.qq.com 的 443 端口。',
    },
  },
  proxy_failed: {
    meaning: {
      en: 'the proxy of HTTPS_PROXY cannot connect to WeChat',
      zh: 'HTTPS_PROXY 指定的代理连接不上微信',
    },
    advice: {
      en: 'It is tried again. If it stays, check DNS and firewall between the proxy and WeChat.',
      zh: '会自动重试。若持续出现，检查代理到微信的 DNS 和防火墙。',
    },
  },
  proxy_garbled: {
    meaning: {
      en: 'what HTTPS_PROXY names hung up, or does not answer as an HTTP proxy does',
      zh: 'HTTPS_PROXY 指定的地址断开了连接，或应答不像 HTTP 代理',
    },
    advice: {
      en: 'Check that HTTPS_PROXY names the port of an HTTP proxy, and http:// or https:// as it speaks.',
      zh: '检查 HTTPS_PROXY 里是否为 HTTP 代理的端口，以及代理用的是 http:// 还是 https://。',
    },
  },
  proxy_tls: {
    meaning: {
      en: 'no TLS connection to WeChat through the proxy of HTTPS_PROXY',
      zh: '经 HTTPS_PROXY 指定的代理无法与微信建立 TLS 连接',
    },
    advice: {
      en: 'The proxy intercepts TLS or cuts it off: let api.weixin.qq.com pass through it unchanged.',
      zh: '代理拦截或切断了 TLS：让 api.weixin.qq.com 原样通过。',
    },
  },
};

/** These are the same for every host that goes through the proxy. */
export const OF_THE_PROXY: readonly string[] = [
  'proxy_unreachable',
  'proxy_login',
  'proxy_garbled',
] satisfies ProxyFault[];
