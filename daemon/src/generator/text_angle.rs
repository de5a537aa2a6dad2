//! Angles in running text: `48.8584`, `48.8584° N`, `N 48 51 30`, `48°51'30.24"N`, `Latitude: -33.86`.

/// An axis of the Earth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Lat,
    Lon,
}

/// A piece of text.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    /// A number with its sign, whether a sign stands before it, and whether it has decimals.
    Number {
        value: f64,
        signed: bool,
        decimals: bool,
    },
    Degree,
    Minute,
    Second,
    /// N, S, E or W: the axis, and whether the angle counts down.
    Hemisphere {
        axis: Axis,
        negative: bool,
    },
    Label(Axis),
    /// A comma, semicolon, slash, or `and`.
    Separator,
    /// A bracket, a colon, an equals sign: what says nothing.
    Filler,
    /// Anything else.
    Other,
}

/// An angle that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Angle {
    /// Degrees, with the sign.
    pub(super) degrees: f64,
    /// Which axis its letter or its label says.
    pub(super) axis: Option<Axis>,
    /// Whether it is written as an angle: with decimals, a mark, a letter or a label. A bare whole number is not.
    pub(super) is_angle: bool,
    /// Whether it says something impossible of itself: 75 minutes, a sign and a letter that contradict each other.
    pub(super) is_contradiction: bool,
    /// Whether nothing but a separator and fillers stands between it and the one before.
    pub(super) follows: bool,
}

/// All angles of a text in their order.
pub(super) fn angles(text: &str) -> Vec<Angle> {
    let tokens = tokens(text);
    let (mut angles, mut at, mut clean, mut label, mut before) = (Vec::new(), 0, false, None, None);
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Number { .. } => {
                let (angle, length) = angle(tokens.get(at..).unwrap_or_default(), before.take(), label.take());
                angles.push(Angle { follows: clean, ..angle });
                (at, clean) = (at + length, true);
                continue;
            }
            Token::Label(axis) => label = Some(*axis),
            Token::Hemisphere { .. } => before = Some(*token),
            Token::Separator | Token::Filler => {}
            Token::Degree | Token::Minute | Token::Second | Token::Other => {
                (clean, label, before) = (false, None, None);
            }
        }
        at += 1;
    }
    angles
}

/// The angle at the beginning of `tokens`, which is a number, and how many of them it takes.
fn angle(tokens: &[Token], letter_before: Option<Token>, label: Option<Axis>) -> (Angle, usize) {
    let number = |at: usize| match tokens.get(at) {
        Some(Token::Number { value, signed, decimals }) => Some((*value, *signed, *decimals)),
        _ => None,
    };
    let (degrees, signed, decimals) = number(0).unwrap_or_default();
    let (mut at, mut parts, mut marked, mut bad) = (1, 0.0, false, false);
    if tokens.get(at) == Some(&Token::Degree) {
        (at, marked) = (at + 1, true);
    }
    // Minutes and seconds follow a degree without decimals: by marks, or bare where a letter tells that it is an angle.
    let bare = |from: usize| {
        let mut numbers = 0;
        while number(from + numbers).is_some_and(|(_, signed, _)| !signed) {
            numbers += 1;
        }
        let ends = matches!(tokens.get(from + numbers), Some(Token::Hemisphere { .. })) || letter_before.is_some();
        if ends && numbers <= 2 { numbers } else { 0 }
    };
    if !decimals {
        let mut bare_left =
            if tokens.get(at + 1).is_some_and(|token| matches!(token, Token::Minute)) { 0 } else { bare(at) };
        for (mark, scale) in [(Token::Minute, 60.0), (Token::Second, 3600.0)] {
            let Some((value, false, _)) = number(at) else { break };
            if tokens.get(at + 1) == Some(&mark) {
                (at, marked) = (at + 2, true);
            } else if bare_left > 0 {
                (at, bare_left) = (at + 1, bare_left - 1);
            } else if marked && scale > 60.0 {
                // Seconds whose mark was left out.
                at += 1;
            } else {
                break;
            }
            bad |= value >= 60.0;
            parts += value / scale;
        }
    }
    let mut letter = letter_before;
    // After a letter that stands before its number, the next one belongs to the next number.
    if let (None, Some(after @ Token::Hemisphere { .. })) = (letter, tokens.get(at)) {
        letter = Some(*after);
        at += 1;
    }
    let (axis, negative) = match letter {
        Some(Token::Hemisphere { axis, negative }) => (Some(axis), negative),
        _ => (None, false),
    };
    bad |= axis.is_some() && signed;
    bad |= matches!((axis, label), (Some(letter), Some(label)) if letter != label);
    let magnitude = degrees.abs() + parts;
    let down = negative || degrees.is_sign_negative();
    let angle = Angle {
        degrees: if down { -magnitude } else { magnitude },
        axis: axis.or(label),
        is_angle: decimals || marked || axis.is_some() || label.is_some(),
        is_contradiction: bad,
        follows: false,
    };
    (angle, at)
}

fn tokens(text: &str) -> Vec<Token> {
    let letters: Vec<char> = text.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(letter) = letters.get(at).copied() {
        let next = letters.get(at + 1).copied().unwrap_or(' ');
        let is_minus = |letter: char| matches!(letter, '-' | '\u{2212}' | '\u{2013}');
        if letter.is_ascii_digit() || ((is_minus(letter) || letter == '+') && next.is_ascii_digit()) {
            let (token, length) = number(letters.get(at..).unwrap_or_default());
            tokens.push(token);
            at += length;
            continue;
        }
        if letter.is_alphabetic() {
            let word: String = letters.iter().skip(at).take_while(|letter| letter.is_alphabetic()).collect();
            at += word.chars().count();
            tokens.push(word_token(&word));
            continue;
        }
        at += 1;
        tokens.push(match letter {
            _ if letter.is_whitespace() => continue,
            '\u{b0}' | '\u{ba}' | '\u{2da}' => Token::Degree,
            '\'' if next == '\'' => {
                at += 1;
                Token::Second
            }
            '\'' | '\u{2032}' | '\u{2019}' | '\u{b4}' => Token::Minute,
            '"' | '\u{2033}' | '\u{201d}' => Token::Second,
            ',' | ';' | '/' => Token::Separator,
            '(' | ')' | '[' | ']' | '{' | '}' | ':' | '=' | '*' | '`' | '|' | '.' => Token::Filler,
            _ => Token::Other,
        });
    }
    // Quotes about numbers are no marks of seconds.
    let quoted = tokens.iter().filter(|token| matches!(token, Token::Degree | Token::Minute)).count() == 0;
    if quoted {
        tokens.iter_mut().filter(|token| **token == Token::Second).for_each(|token| *token = Token::Filler);
    }
    tokens
}

/// A number and how many letters it takes. One that goes over into a word, such as `4e5` or `12th`, is none.
fn number(letters: &[char]) -> (Token, usize) {
    let signed = letters.first().is_some_and(|letter| !letter.is_ascii_digit());
    let negative = letters.first().is_some_and(|letter| signed && *letter != '+');
    let mut text = String::new();
    let (mut length, mut decimals) = (usize::from(signed), false);
    while let Some(letter) = letters.get(length) {
        let next_is_digit = letters.get(length + 1).is_some_and(char::is_ascii_digit);
        if letter.is_ascii_digit() || (*letter == '.' && !decimals && next_is_digit) {
            decimals |= *letter == '.';
            text.push(*letter);
            length += 1;
        } else {
            break;
        }
    }
    let word: String =
        letters.iter().skip(length).take_while(|letter| letter.is_alphanumeric() || **letter == '_').collect();
    let goes_on = !word.is_empty() && !matches!(word_token(&word), Token::Hemisphere { .. } | Token::Degree);
    let dotted = letters.get(length) == Some(&'.') && letters.get(length + 1).is_some_and(char::is_ascii_digit);
    match text.parse::<f64>() {
        Ok(value) if !goes_on && !dotted => {
            (Token::Number { value: if negative { -value } else { value }, signed, decimals }, length)
        }
        _ => {
            let rest = letters
                .iter()
                .skip(length)
                .take_while(|letter| letter.is_alphanumeric() || matches!(letter, '.' | '_'));
            (Token::Other, length + rest.count())
        }
    }
}

fn word_token(word: &str) -> Token {
    let hemisphere = |axis, negative| Token::Hemisphere { axis, negative };
    match word.to_lowercase().as_str() {
        "n" | "north" => hemisphere(Axis::Lat, false),
        "s" | "south" => hemisphere(Axis::Lat, true),
        "e" | "east" => hemisphere(Axis::Lon, false),
        "w" | "west" => hemisphere(Axis::Lon, true),
        "lat" | "latitude" => Token::Label(Axis::Lat),
        "lon" | "lng" | "long" | "longitude" => Token::Label(Axis::Lon),
        "deg" | "degree" | "degrees" => Token::Degree,
        "and" => Token::Separator,
        "is" => Token::Filler,
        _ => Token::Other,
    }
}
