/**
 * The only script: it loads the page again every 15 seconds and changes what has changed. Elements stay
 * the same ones, so that focus, scroll, what was typed and what was opened stay as they are.
 */
export const SCRIPT = `'use strict';
(() => {
  const EVERY = 15000;
  const stale = document.getElementById('stale');
  let timer;

  /** Makes an element like another one. */
  function liken(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(name === 'open' && old.tagName === 'DETAILS')) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    // What somebody is filling in is left alone.
    if (!['INPUT', 'SELECT', 'TEXTAREA'].includes(old.tagName)) likenChildren(old, fresh);
  }

  function likenChildren(parent, fresh) {
    let next = parent.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      let found = next;
      if (wanted.id) {
        found = [...parent.children].find((one) => one.id === wanted.id);
        // Those in between are gone: what stays is not moved, as that would take the focus away.
        while (found && next && next !== found && !(next.id && fresh.querySelector(':scope > #' + CSS.escape(next.id)))) next = drop(next);
      }
      const same = found && found.nodeName === wanted.nodeName && (found.id || '') === (wanted.id || '');
      if (!same) {
        parent.insertBefore(document.importNode(wanted, true), next);
        continue;
      }
      if (found !== next) parent.insertBefore(found, next);
      else next = next.nextSibling;
      if (!('keep' in (wanted.dataset ?? {}))) liken(found, wanted);
    }
    while (next) next = drop(next);
  }

  function drop(node) {
    const after = node.nextSibling;
    if (!(node.dataset && 'keep' in node.dataset)) node.remove();
    return after;
  }

  async function update() {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { headers: { 'X-Refresh': '1' }, signal: AbortSignal.timeout(10000) });
      if (answer.redirected) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      for (const id of ['updated', 'main']) {
        const [old, wanted] = [document.getElementById(id), fresh.getElementById(id)];
        if (old && wanted) liken(old, wanted);
      }
      document.title = fresh.title;
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
    timer = setTimeout(update, EVERY);
  }

  document.addEventListener('visibilitychange', () => document.hidden ? clearTimeout(timer) : update());
  timer = setTimeout(update, EVERY);
})();
`;
