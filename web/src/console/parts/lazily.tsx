import { type FunctionComponent, useEffect, useState } from 'react';
import { useTexts } from '../texts/texts.tsx';

/** The scripts that are loaded when they are needed, or when the page is idle. */
const later: (() => Promise<unknown>)[] = [];

/** Loads them all, so that a restart of the service or a new version of it takes nothing from an open page. */
export function loadWhenIdle() {
  const load = () => later.reduce((before, next) => before.then(next).catch(() => undefined), Promise.resolve<unknown>(undefined));
  window.setTimeout(() => void load(), 2000);
}

/** A component of a script that is loaded later. If that fails, the rest of the page stays, and it can be tried again. */
export function lazily<Props extends object>(load: () => Promise<FunctionComponent<Props>>): FunctionComponent<Props> {
  let loaded: FunctionComponent<Props> | undefined;
  const loadOnce = async () => (loaded ??= await load());
  later.push(loadOnce);
  return function Lazily(props: Props) {
    const { page } = useTexts();
    const [Loaded, setLoaded] = useState<FunctionComponent<Props> | undefined>(() => loaded);
    const [isFailed, setFailed] = useState(false);
    useEffect(() => {
      if (Loaded || isFailed) return;
      loadOnce().then(component => setLoaded(() => component), () => setFailed(true));
    }, [Loaded, isFailed]);
    if (Loaded) return <Loaded {...props} />;
    return isFailed ? <Failed reset={() => setFailed(false)} /> : <p className="loading">{page.loading}</p>;
  };
}

/** In place of a part of the page that cannot be shown. */
export function Failed({ reset }: { reset: () => void }) {
  const { errors, page } = useTexts();
  return (
    <div className="problem" role="alert">
      <p>{errors.part}</p>
      <button type="button" onClick={reset}>{page.retry}</button>
    </div>
  );
}
