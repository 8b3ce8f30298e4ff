//! Evaluates arithmetic: numbers, `+ - * /`, a sign, parentheses.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// Deeper nesting is refused, so that a hostile expression can't exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CalculatorError {
    /// A character or number in the wrong place.
    Unexpected(char),
    /// The expression ends too early.
    Incomplete,
    /// A division by zero.
    DivisionByZero,
    /// Parentheses or signs are nested too deeply.
    TooDeep,
}

impl fmt::Display for CalculatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected(sign) => write!(f, "unexpected {sign:?} in the expression"),
            Self::Incomplete => f.write_str("the expression ends too early"),
            Self::DivisionByZero => f.write_str("division by zero"),
            Self::TooDeep => write!(f, "the expression is nested more than {MAX_DEPTH} deep"),
        }
    }
}

impl std::error::Error for CalculatorError {}

/// Returns the value of an expression.
pub(crate) fn evaluate(expression: &str) -> Result<f64, CalculatorError> {
    let mut parser = Parser {
        rest: expression.chars().peekable(),
        depth: 0,
    };
    let value = parser.sum()?;
    match parser.peek() {
        None => Ok(value),
        Some(sign) => Err(CalculatorError::Unexpected(sign)),
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        while self.rest.next_if(|sign| sign.is_whitespace()).is_some() {}
        self.rest.peek().copied()
    }

    fn take(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(sign);
        if found {
            self.rest.next();
        }
        found
    }

    fn sum(&mut self) -> Result<f64, CalculatorError> {
        let mut value = self.product()?;
        loop {
            if self.take('+') {
                value += self.product()?;
            } else if self.take('-') {
                value -= self.product()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn product(&mut self) -> Result<f64, CalculatorError> {
        let mut value = self.factor()?;
        loop {
            if self.take('*') {
                value *= self.factor()?;
            } else if self.take('/') {
                let divisor = self.factor()?;
                if divisor == 0.0 {
                    return Err(CalculatorError::DivisionByZero);
                }
                value /= divisor;
            } else {
                return Ok(value);
            }
        }
    }

    fn factor(&mut self) -> Result<f64, CalculatorError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(CalculatorError::TooDeep);
        }
        let value = if self.take('-') {
            -self.factor()?
        } else if self.take('(') {
            let value = self.sum()?;
            if !self.take(')') {
                return Err(self
                    .peek()
                    .map_or(CalculatorError::Incomplete, CalculatorError::Unexpected));
            }
            value
        } else {
            self.number()?
        };
        self.depth -= 1;
        Ok(value)
    }

    fn number(&mut self) -> Result<f64, CalculatorError> {
        let first = self.peek().ok_or(CalculatorError::Incomplete)?;
        let mut digits = String::new();
        while let Some(digit) = self.rest.next_if(|sign| sign.is_ascii_digit() || *sign == '.') {
            digits.push(digit);
        }
        digits.parse().map_err(|_| CalculatorError::Unexpected(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence_parentheses_and_signs_are_respected() {
        assert_eq!(evaluate("1000 * 4096"), Ok(4_096_000.0));
        assert_eq!(evaluate("2+3*4-1"), Ok(13.0));
        assert_eq!(evaluate("-(2 + 3) * --4 / 8"), Ok(-2.5));
        assert_eq!(evaluate(" 0.5*.5 "), Ok(0.25));
    }

    #[test]
    fn an_invalid_expression_is_reported() {
        assert_eq!(evaluate(""), Err(CalculatorError::Incomplete));
        assert_eq!(evaluate("2*"), Err(CalculatorError::Incomplete));
        assert_eq!(evaluate("(1"), Err(CalculatorError::Incomplete));
        assert_eq!(evaluate("1)"), Err(CalculatorError::Unexpected(')')));
        assert_eq!(evaluate("two"), Err(CalculatorError::Unexpected('t')));
        assert_eq!(evaluate("1.2.3"), Err(CalculatorError::Unexpected('1')));
        assert_eq!(evaluate("1/(2-2)"), Err(CalculatorError::DivisionByZero));
        assert_eq!(evaluate(&"(".repeat(100_000)), Err(CalculatorError::TooDeep));
    }
}
