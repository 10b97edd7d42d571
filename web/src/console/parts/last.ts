import { useState } from 'react';

/** Returns the value, or the last one that was known, so that a failed repetition of a query takes nothing away. */
export function useLast<Value>(value: Value | undefined): Value | undefined {
  const [last, setLast] = useState(value);
  if (value !== undefined && value !== last) setLast(value);
  return value ?? last;
}
