/**
 * Counts what is under way, so that a test can wait for quiet instead of sleeping.
 * Whatever waits for the clock (hung or delayed answers) must not be counted: it would never end.
 */
export interface Activity {
  /** Returns the function that ends it; calling that twice does no harm. */
  begin(): () => void;
  idle(): Promise<void>;
}

export function createActivity(): Activity {
  let underWay = 0;
  let waiters: (() => void)[] = [];
  return {
    begin() {
      underWay += 1;
      let ended = false;
      return () => {
        if (ended) return;
        ended = true;
        underWay -= 1;
        if (underWay > 0) return;
        const woken = waiters;
        waiters = [];
        for (const wake of woken) wake();
      };
    },
    idle() {
      if (underWay === 0) return Promise.resolve();
      return new Promise((resolve) => waiters.push(resolve));
    },
  };
}
