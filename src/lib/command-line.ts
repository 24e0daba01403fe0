/** How a person types the commands: by npm in the repository, as `wxkeeper NAME` where the package is installed. */

let isInstalled = false;

export function startedAsProgram(): void {
  isInstalled = true;
}

/** Help, errors and advice name the commands as npm's; columns stay where they are. */
export function asTyped(text: string): string {
  if (!isInstalled) return text;
  return text
    .replaceAll(/npm (start)\b/g, 'wxkeeper $1')
    .replaceAll(
      /(npm run (demo|doctor|keys|simulator)\b(?: --(?= ))?)((?: \S+)*)( {2,})?/g,
      (_all, start: string, name: string, rest: string, gap?: string) => {
        const typed = `wxkeeper ${name}`;
        const width = (gap ?? '').length + start.length - typed.length;
        return `${typed}${rest}${gap === undefined ? '' : ' '.repeat(Math.max(2, width))}`;
      },
    );
}
