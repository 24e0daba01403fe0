import type { InternalAppOptions } from '../../src/http/internal/app.ts';
import { ROUTES } from '../../src/http/internal/routes.ts';

/** For an application that is asked for some of its routes only: each of the others is a fault of ours. */
export const NO_HANDLERS = Object.fromEntries(
  ROUTES.map(({ doc }) => [
    doc.operationId,
    () => {
      throw new Error(`nothing stands behind ${doc.operationId} here`);
    },
  ]),
) as unknown as InternalAppOptions['handlers'];
