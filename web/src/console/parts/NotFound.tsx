import { Link } from '@tanstack/react-router';
import { useTexts } from '../texts/texts.tsx';

export function NotFound() {
  const { page } = useTexts();
  return (
    <div className="nothing">
      <p>{page.notFound}</p>
      <Link to="/" className="button">{page.toList}</Link>
    </div>
  );
}
