//! The origins whose pages may ask from a browser (CORS).

use std::str::FromStr;

use axum::http::HeaderValue;
use url::Url;

/// An origin whose pages may send requests from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Any,
    /// `scheme://host[:port]`
    One(HeaderValue),
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Any);
        }
        // As browsers write it: they are compared as text.
        let written = Url::parse(text)
            .ok()
            .map(|url| url.origin())
            .filter(|origin| origin.is_tuple() && !text.contains('*'))
            .map(|origin| origin.ascii_serialization());
        match (written, HeaderValue::from_str(text)) {
            (Some(written), Ok(value)) if written == text => Ok(Self::One(value)),
            (Some(written), _) => Err(format!("expected an origin as browsers send it: {written}")),
            _ => Err("expected * or an origin such as https://app.example.com".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for text in [
            "https://app.example.com",
            "http://localhost:3000",
            "http://[::1]:8080",
        ] {
            assert_eq!(
                text.parse(),
                Ok(Origin::One(HeaderValue::from_static(text)))
            );
        }
        assert_eq!("*".parse(), Ok(Origin::Any));
        for (text, expected) in [
            ("https://app.example.com/", "https://app.example.com"),
            ("https://app.example.com/path", "https://app.example.com"),
            ("HTTPS://App.example.com", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("https://a@app.example.com", "https://app.example.com"),
            ("app.example.com", "* or an origin"),
            ("null", "* or an origin"),
            ("file:///tmp", "* or an origin"),
            ("", "* or an origin"),
            ("https://*.example.com", "* or an origin"),
        ] {
            let error = text.parse::<Origin>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
