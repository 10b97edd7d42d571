import type { ReactNode } from 'react';
import { labelOf, useLanguage, useTexts } from '../texts/texts.tsx';
import type { UserError } from './queries.ts';

/** The errors of an input field, or those that no field of the form has. */
export const errorsOf = (errors: readonly UserError[], field: string) => errors.filter(error => error.field?.at(-1) === field);
export const errorsWithout = (errors: readonly UserError[], fields: readonly string[]) =>
  errors.filter(({ field }) => !fields.includes(field?.at(-1) ?? ''));

/** The sentences of errors. The service writes them in English; in other languages the kind of the error precedes them. */
export function Errors({ errors, id }: { errors: readonly UserError[]; id?: string }) {
  const { labels } = useTexts();
  const { language } = useLanguage();
  if (errors.length === 0) return null;
  return (
    <div className="error" id={id} role="alert">
      {errors.map(({ code, message }) => (
        <p key={message}>{language !== 'en' && `${labelOf(labels.errorCode, code)} `}<span lang="en">{message}</span></p>
      ))}
    </div>
  );
}

interface Props {
  readonly name: string;
  readonly label: string;
  readonly hint?: ReactNode;
  readonly errors: readonly UserError[];
  readonly children: (attributes: {
    id: string;
    name: string;
    'aria-describedby': string;
    'aria-invalid': boolean;
  }) => ReactNode;
}

/** A label, an input, a hint, and what is wrong with it. */
export function Field({ name, label, hint, errors, children }: Props) {
  const id = `field-${name}`;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, name, 'aria-describedby': `${id}-hint ${id}-errors`, 'aria-invalid': errors.length > 0 })}
      {hint && <p className="muted small" id={`${id}-hint`}>{hint}</p>}
      <Errors errors={errors} id={`${id}-errors`} />
    </div>
  );
}
