//! A measured number, and how such numbers add up.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use spanscope_core::metrics::Number;
use spanscope_model::Value;

/// A number in the file's form: integers stay integers if they fit into 63 bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Amount {
    Integer(i64),
    Real(f64),
}

impl Amount {
    #[expect(
        clippy::cast_precision_loss,
        reason = "what integers can't hold is a real number"
    )]
    fn real(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Real(number) => number,
        }
    }

    /// Returns the sum. Integers add up to an integer unless it would be too large.
    pub(crate) fn plus(self, other: Self) -> Self {
        if let (Self::Integer(a), Self::Integer(b)) = (self, other)
            && let Some(sum) = a.checked_add(b)
        {
            return Self::Integer(sum);
        }
        Self::Real(self.real() + other.real())
    }

    /// Returns the difference; `None` if `other` is larger.
    pub(crate) fn minus(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => {
                a.checked_sub(b).filter(|left| *left >= 0).map(Self::Integer)
            }
            _ => {
                let left = self.real() - other.real();
                (left >= 0.0).then_some(Self::Real(left))
            }
        }
    }

    pub(crate) fn is_zero(self) -> bool {
        self.real() == 0.0
    }

    pub(crate) fn least(self, other: Self) -> Self {
        if other.real() < self.real() { other } else { self }
    }

    pub(crate) fn greatest(self, other: Self) -> Self {
        if other.real() > self.real() { other } else { self }
    }
}

impl From<Number> for Amount {
    fn from(number: Number) -> Self {
        match number {
            Number::I64(number) => Self::Integer(number),
            number => Self::Real(number.as_f64()),
        }
    }
}

impl From<Amount> for Value {
    fn from(amount: Amount) -> Self {
        match amount {
            Amount::Integer(number) => Self::I64(number),
            Amount::Real(number) => Self::F64(number),
        }
    }
}

impl From<Amount> for rusqlite::types::Value {
    fn from(amount: Amount) -> Self {
        match amount {
            Amount::Integer(number) => Self::Integer(number),
            Amount::Real(number) => Self::Real(number),
        }
    }
}

impl rusqlite::ToSql for Amount {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned((*self).into()))
    }
}

impl FromSql for Amount {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Integer(number) => Ok(Self::Integer(number)),
            ValueRef::Real(number) => Ok(Self::Real(number)),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Amount::{Integer, Real};

    #[test]
    fn a_difference_is_never_negative() {
        assert_eq!(Integer(5).minus(Integer(3)), Some(Integer(2)));
        assert_eq!(Integer(3).minus(Integer(5)), None);
        assert_eq!(Integer(i64::MAX).minus(Integer(-1)), None);
        assert_eq!(Real(1.5).minus(Integer(1)), Some(Real(0.5)));
        assert_eq!(Real(0.5).minus(Real(1.0)), None);
        assert!(Real(1.0).minus(Real(1.0)).is_some_and(super::Amount::is_zero));
    }

    #[test]
    fn integers_stay_integers_until_they_would_be_too_large() {
        assert_eq!(Integer(i64::MAX - 1).plus(Integer(1)), Integer(i64::MAX));
        assert_eq!(
            Integer(i64::MAX).plus(Integer(1)),
            Real(9_223_372_036_854_775_808.0)
        );
        assert_eq!(Integer(1).plus(Real(0.5)), Real(1.5));
        assert_eq!(Integer(2).least(Real(1.5)), Real(1.5));
        assert_eq!(Integer(2).greatest(Real(1.5)), Integer(2));
    }
}
